"""`kill -9` of each part under load: nothing acknowledged is lost, nothing counts twice."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

from ray.exceptions import RayError

import taskqueue_ray as tq
from taskqueue_ray.core.exchange import Ping
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place, worker_pids
from tests.cluster.witness import Told, check, check_recovery, read, starts


class Load:
    """Producers that enqueue without end, and what they were told."""

    def __init__(self, q: tq.TaskQueue, place: Place, seconds: float) -> None:
        self._q = q
        self._file = str(place.witness)
        self._seconds = seconds
        self._over = Event()
        self.handles: list[tq.JobHandle[str]] = []

    def run(self) -> None:
        job = trial_jobs.witnessed
        while not self._over.is_set():
            self.handles.append(self._q.enqueue(job, self._file, self._seconds))
            items = (job.item(self._file, self._seconds) for _ in range(20))
            self.handles += self._q.enqueue_many(items)
            self._over.wait(0.05)

    def end(self) -> None:
        self._over.set()


@contextmanager
def load(q: tq.TaskQueue, place: Place, told: Told, seconds: float = 0.002) -> Iterator[Load]:
    """Jobs keep coming; at the end of the block all that were acknowledged have completed."""
    made = Load(q, place, seconds)
    with ThreadPoolExecutor(1) as threads:
        producing = threads.submit(made.run)
        try:
            yield made
        finally:
            made.end()
        producing.result(90)
    told.durable(made.handles)
    for handle in made.handles:
        told.result(handle, 90)


def completions(q: tq.TaskQueue) -> int:
    return q.stats("trial").completed


def test_the_queue_actor_three_times_under_load(place: Place) -> None:
    q, told = place.connect(), Told()
    with q.workers(max=2, concurrency=2), load(q, place, told) as jobs:
        eventually(lambda: completions(q) >= 20, "work goes on")
        for _ in range(3):
            _kill_the_queue(q, place, jobs)
        eventually(lambda: len(jobs.handles) > 101, "enough was acknowledged", within=90.0)
    check(q, place.witness, told)
    assert len(told.ids) > 100
    assert all(job.losses == 0 for job in q.jobs(limit=10_000)), "no worker was lost"
    q.close()  # an open client would bring the actor back
    place.shut_down()
    check_recovery(place.folder, place.key_file)


def _kill_the_queue(q: tq.TaskQueue, place: Place, jobs: Load) -> None:
    before = place.ping()
    known = len(jobs.handles)
    began = time.monotonic()
    processes.kill(before.pid)
    # What workers held before runs on meanwhile; this one can only be leased by the next actor.
    first = q.enqueue(trial_jobs.witnessed.options(priority=100), str(place.witness))
    eventually(lambda: starts(place.witness)[first.id], "leases go on")
    print(f"first lease {time.monotonic() - began:.2f} s after the kill")
    after = eventually(lambda: _back(place, before.epoch), "it is back")
    eventually(lambda: len(jobs.handles) > known, "producers go on")
    jobs.handles.append(first)
    assert after.epoch == before.epoch + 1


def _back(place: Place, epoch: int) -> Ping | None:
    """The actor's next life, once it serves."""
    with suppress(RayError):
        found = place.ping()
        if found.epoch > epoch and not found.recovering:
            return found
    return None


def test_a_worker_is_charged_for_what_ran_alone(place: Place) -> None:
    """Four executors run, many more jobs are merely held: only those four lose anything."""
    q, told = place.connect(), Told()
    gate = place.base / "gate"
    with q.workers(min=1, max=1, concurrency=4):
        (pid,) = worker_pids(q)
        blocked = [
            q.enqueue(trial_jobs.waits_for, str(place.witness), str(gate)) for _ in range(12)
        ]
        eventually(lambda: starts(place.witness).total() == 4, "four run")
        eventually(lambda: len(q.worker_health()[0].running) == 4, "the queue knows it")
        family = [process.pid for process in processes.descendants(pid)]
        began = time.monotonic()
        processes.kill(pid)
        eventually(lambda: not any(map(processes.is_alive, family)), "its children end", 10.0)
        gate.touch()
        eventually(lambda: starts(place.witness).total() > 4, "they run again")
        print(f"leases back {time.monotonic() - began:.2f} s after the kill")
        told.durable(blocked)
        for handle in blocked:
            told.result(handle, 60)
        first = {line.job for line in read(place.witness)[:4]}
        for handle in blocked:
            job = handle.info()
            assert job.losses == (1 if handle.id in first else 0), job
            assert job.attempts == 1
    check(q, place.witness, told)


def test_an_executor(place: Place) -> None:
    """Its job failed an attempt, the others it held did not, and its worker goes on."""
    q = place.connect()
    gate = place.base / "gate"
    job = trial_jobs.waits_for.options(max_attempts=2, backoff=trial_jobs.NO_WAIT)
    with q.workers(concurrency=1):
        (pid,) = worker_pids(q)
        first = q.enqueue(job, str(place.witness), str(gate))
        others = q.enqueue_many(trial_jobs.add.item(n) for n in range(20))
        eventually(place.witness.exists, "it runs")
        (executor,) = processes.fork_server_of(pid).children()
        processes.kill(executor.pid)
        gate.touch()
        first.result(60)
        assert tq.gather(*others) == [n + 1 for n in range(20)]
        record = first.info()
        assert (record.attempts, record.losses) == (2, 0)
        assert record.history[0].problem.error_type == "SIGKILL"
        assert worker_pids(q) == [pid]


def test_the_fork_server(place: Place) -> None:
    q = place.connect()
    gate = place.base / "gate"
    job = trial_jobs.waits_for.options(max_attempts=2, backoff=trial_jobs.NO_WAIT)
    with q.workers(concurrency=2):
        (pid,) = worker_pids(q)
        running = [q.enqueue(job, str(place.witness), str(gate)) for _ in range(2)]
        eventually(lambda: starts(place.witness).total() == 2, "they run")
        server = processes.fork_server_of(pid)
        children = [child.pid for child in server.children()]
        processes.kill(server.pid)
        gate.touch()
        for handle in running:
            handle.result(60)
        assert worker_pids(q) == [pid]
        assert not any(processes.is_alive(child) for child in children)


def test_a_worker_leaves_no_orphans(place: Place) -> None:
    """An executor whose job ignores signals and has children of its own dies with its worker."""
    q = place.connect()
    with q.workers():
        (pid,) = worker_pids(q)
        handle = q.enqueue(trial_jobs.clings, str(place.witness))
        eventually(lambda: len(read(place.witness)) == 1, "it runs")
        pids = [process.pid for process in processes.descendants(pid)[1:]]
        assert len(pids) >= 3
        processes.kill(pid)
        eventually(
            lambda: not any(map(processes.is_alive, pids)), "nothing of it is left", within=5.0
        )
        q.cancel(handle)
