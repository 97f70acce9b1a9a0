"""`kill -9` of what a long job runs in and under: it goes on from where it was."""

import time
from pathlib import Path
from typing import NamedTuple

import pytest

import taskqueue_ray as tq
from tests.cluster import processes, trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place, worker_pids

LATE = 3.0
"""Seconds before a kill within which a checkpoint may be lost; one, on a machine with nothing else
to do.
"""

JOBS = [trial_jobs.counts_on, trial_jobs.counts_on_async]


class Counting(NamedTuple):
    """A job that counts, and what it wrote down."""

    q: tq.TaskQueue
    handle: tq.JobHandle[int]
    file: Path
    gate: Path

    def until_saved(self) -> None:
        """Wait until something it saved is at the queue, and old enough to count."""
        eventually(lambda: self._counted(time.time() - LATE) > 0, "it counts")
        eventually(lambda: self.handle.info().checkpoint, "the queue has a checkpoint")

    def resumes(self, killed_at: float) -> int:
        """Let it end; where its last run began."""
        due = self._counted(killed_at - LATE)
        lines = len(self.file.read_text().splitlines())
        eventually(lambda: len(self.file.read_text().splitlines()) > lines, "it counts again")
        self.gate.touch()
        begun = self.handle.result(60)
        assert due <= begun <= self._counted(killed_at + LATE)
        assert self.handle.info().checkpoint is None
        return begun

    def _counted(self, before: float) -> int:
        """The highest number that was saved before a time."""
        text = self.file.read_text() if self.file.exists() else ""
        lines = [line.split() for line in text.splitlines()]
        return max((int(n) for n, at in lines if float(at) < before), default=0)


def _start(q: tq.TaskQueue, place: Place, job: object = trial_jobs.counts_on) -> Counting:
    file, gate = place.base / "counted", place.base / "gate"
    handle = q.enqueue(job, str(file), str(gate))
    made = Counting(q, handle, file, gate)
    made.until_saved()
    return made


@pytest.mark.parametrize(
    "job", [JOBS[0], pytest.param(JOBS[1], marks=pytest.mark.slow)], ids=["process", "async"]
)
def test_an_executor(place: Place, job: object) -> None:
    q = place.connect()
    with q.workers():
        (pid,) = worker_pids(q)
        counting = _start(q, place, job)
        (executor,) = processes.fork_server_of(pid).children()
        processes.kill(executor.pid)
        assert counting.resumes(time.time()) > 0
        record = counting.handle.info()
        assert (record.attempts, record.losses) == (2, 0)


@pytest.mark.slow
def test_a_worker(place: Place) -> None:
    q = place.connect()
    with q.workers():
        (pid,) = worker_pids(q)
        counting = _start(q, place)
        processes.kill(pid)
        assert counting.resumes(time.time()) > 0
        assert counting.handle.info().losses == 1


def test_the_queue_actor_and_then_the_worker(place: Place) -> None:
    """The checkpoint comes from the disk: nobody who knew it is left."""
    q = place.connect()
    with q.workers():
        (pid,) = worker_pids(q)
        counting = _start(q, place)
        killed_at = time.time()
        processes.kill(place.ping().pid)
        processes.kill(pid)
        assert counting.resumes(killed_at) > 0
