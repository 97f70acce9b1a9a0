"""Which jobs are to be started by when."""

from heapq import heapify, heappop, heappush
from itertools import islice

from taskqueue_ray.core.lanes import in_order
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Job, JobId

WAITING = (JobState.SCHEDULED, JobState.BLOCKED, JobState.PENDING)

SPARE = 1_000
"""Entries of jobs that have ended, at least, that are borne before they are looked for."""


class Expiries:
    """Waiting jobs by the time by which they must have been started. Derived, never stored."""

    __slots__ = ("_heap", "_limit")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Job]] = []
        self._limit = SPARE

    def add(self, job: Job) -> None:
        """A job waits, or waits again: that may be too long."""
        if not job.conditions.expires or was_started(job):
            return
        if len(self._heap) >= self._limit:
            self._heap = [entry for entry in self._heap if may_expire(entry[2])]
            heapify(self._heap)
            self._limit = 2 * len(self._heap) + SPARE
        heappush(self._heap, (job.conditions.expires, job.ordinal, job))

    def due(self, now: float) -> bool:
        """Whether a job has waited for too long at `now`."""
        self.trim()
        return bool(self._heap) and self._heap[0][0] <= now

    def overdue(self, now: float, most: int) -> list[JobId]:
        """Those that have, at most so many, the longest first."""
        found: dict[JobId, None] = {}
        for expires, _, job in islice(in_order(self._heap), most):
            if expires > now:
                break
            if may_expire(job):
                found[job.id] = None
        return list(found)

    def trim(self) -> None:
        """Drop entries at the head of jobs that no longer may expire."""
        while self._heap and not may_expire(self._heap[0][2]):
            heappop(self._heap)

    def __len__(self) -> int:
        return len(self._heap)


def was_started(job: Job) -> bool:
    """Whether a job has run, or was redriven, which is no less: its time limit is over."""
    return bool(job.attempts or job.losses or job.generation)


def may_expire(job: Job) -> bool:
    """Whether a job has a time limit, waits, and was never started."""
    limited = job.conditions.expires > 0
    return limited and job.phase.state in WAITING and not was_started(job)
