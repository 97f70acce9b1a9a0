"""A worker that stands still for longer than its lease, and then goes on as if nothing had been."""

import signal

import taskqueue_ray as tq
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place, worker_pids
from tests.cluster.witness import Told, check, read, starts


def test_a_stale_outcome_is_refused(place: Place) -> None:
    q, told = place.connect(lease_seconds=1), Told()
    gate = place.base / "gate"
    with q.workers(concurrency=1):
        (pid,) = worker_pids(q)
        handle = q.enqueue(trial_jobs.waits_for, str(place.witness), str(gate))
        eventually(lambda: starts(place.witness).total() == 1, "it runs")
        eventually(lambda: q.worker_health()[0].running, "the queue knows it")
        processes.kill(pid, signal.SIGSTOP)
        try:
            eventually(lambda: handle.status() == "pending", "its lease has ended", 60.0)
            gate.touch()
            first = read(place.witness)[0].run
            eventually(lambda: _ended(place, first), "the frozen worker's executor is done")
            gate.unlink()
            with q.workers(concurrency=1):
                eventually(lambda: starts(place.witness).total() == 2, "it runs elsewhere")
                processes.kill(pid, signal.SIGCONT)
                eventually(lambda: pid in worker_pids(q), "the frozen one is back")
                others = q.enqueue_many(trial_jobs.add.item(n) for n in range(20))
                assert tq.gather(*others) == [n + 1 for n in range(20)]
                assert handle.status() == "processing", "the stale outcome was taken"
                gate.touch()
                told.durable([handle])
                accepted = told.result(handle, 60)
                assert accepted != first
        finally:
            processes.kill(pid, signal.SIGCONT)
        record = handle.info()
        assert (record.result, record.losses, record.deliveries) == (accepted, 1, 2)
    check(q, place.witness, told)


def _ended(place: Place, run: str) -> bool:
    return any(line.run == run and line.what == "end" for line in read(place.witness))
