"""Workers that leave: what runs ends or comes back, what is held comes back, nothing is counted."""

import signal
import threading
import time

import taskqueue_ray as tq
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place, worker_pids
from tests.cluster.witness import Told, check, starts


def _busy(place: Place, q: tq.TaskQueue, gate: str) -> list[tq.JobHandle[str]]:
    """One job runs, others are held behind it."""
    handles = [q.enqueue(trial_jobs.waits_for, str(place.witness), gate) for _ in range(5)]
    eventually(lambda: starts(place.witness).total() == 1, "one runs")
    return handles


def test_the_end_of_the_block(place: Place) -> None:
    """What runs completes; what was held is pending again, at once, and nothing was counted."""
    q, told = place.connect(), Told()
    gate = place.base / "gate"
    workers = q.workers(concurrency=1).start()
    first, *held = _busy(place, q, str(gate))
    draining = threading.Thread(target=workers.drain)
    draining.start()
    eventually(lambda: all(job.status() == "pending" for job in held), "they came back", 8.0)
    assert first.status() == "processing"
    began = time.monotonic()
    gate.touch()
    draining.join(60)
    print(f"the drain ended {time.monotonic() - began:.2f} s after the last job could")
    assert time.monotonic() - began < 8.0, "it waits for a held call instead of ending it"
    assert first.status() == "completed"
    assert starts(place.witness).total() == 1
    with q.workers(concurrency=2):
        told.durable([first, *held])
        for handle in [first, *held]:
            told.result(handle, 60)
    assert {job.info().attempts for job in held} == {1}
    check(q, place.witness, told)


def test_sigterm_to_a_worker(place: Place) -> None:
    """It gives back everything uncounted and ends; Ray starts it again, and work goes on."""
    q, told = place.connect(), Told()
    gate = place.base / "gate"
    with q.workers(concurrency=1):
        (pid,) = worker_pids(q)
        handles = _busy(place, q, str(gate))
        family = [process.pid for process in processes.descendants(pid)]
        began = time.monotonic()
        processes.kill(pid, signal.SIGTERM)
        eventually(
            lambda: not any(map(processes.is_alive, family)), "the worker and its children end", 30
        )
        print(f"left within {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < 15.0
        assert [job.info().losses for job in handles] == [0] * 5
        gate.touch()
        told.durable(handles)
        for handle in handles:
            told.result(handle, 60)
        assert {job.info().losses for job in handles} == {0}
        assert {job.info().attempts for job in handles} == {1}
        eventually(lambda: pid not in worker_pids(q), "the queue knows that it has left")
    check(q, place.witness, told)


def test_sigterm_to_the_queue_actor(place: Place) -> None:
    """It closes its storage and is started again; nobody who waits sees an error."""
    q, told = place.connect(), Told()
    gate = place.base / "gate"
    with q.workers(concurrency=1):
        handles = _busy(place, q, str(gate))
        waiting = [handle.future() for handle in handles]
        before = place.ping()
        processes.kill(before.pid, signal.SIGTERM)
        eventually(lambda: not processes.is_alive(before.pid), "it ends", 15.0)
        gate.touch()
        for future in waiting:
            assert future.result(60).state is tq.JobState.COMPLETED
        told.durable(handles)
        for handle in handles:
            told.result(handle, 60)
        assert place.ping().epoch == before.epoch + 1
    check(q, place.witness, told)


def test_nobody_waits_behind_a_long_job(place: Place) -> None:
    """What a worker holds behind a job that goes on goes to a worker that is free, uncounted."""
    q = place.connect()
    gate = place.base / "gate"
    with q.workers(concurrency=1):
        long = q.enqueue(trial_jobs.waits_for, str(place.witness), str(gate))
        short = q.enqueue_many(trial_jobs.add.item(n) for n in range(3))
        eventually(lambda: starts(place.witness).total() == 1, "it runs")
        with q.workers(concurrency=1):
            assert tq.gather(*short) == [1, 2, 3]
            assert long.status() == "processing"
            assert {handle.info().losses for handle in short} == {0}
        gate.touch()
        long.result(60)
