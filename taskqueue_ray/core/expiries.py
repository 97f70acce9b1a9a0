"""Which jobs are to be started by when."""

from itertools import islice, takewhile

from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Job, JobId

WAITING = (JobState.SCHEDULED, JobState.BLOCKED, JobState.PENDING)

SPARE = 1_000
"""Entries of jobs that have ended, at least, that are borne before they are looked for."""


class Expiries:
    """Waiting jobs by the time by which they must have been started. Derived, never stored."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: Heap[tuple[float, int, Job]] = Heap(lambda entry: may_expire(entry[2]), SPARE)

    def add(self, job: Job) -> None:
        """A job waits, or waits again: that may be too long."""
        if job.conditions.expires and not was_started(job):
            self._heap.push((job.conditions.expires, job.ordinal, job))

    def due(self, now: float) -> bool:
        """Whether a job has waited for too long at `now`."""
        head = self._heap.head()
        return head is not None and head[0] <= now

    def overdue(self, now: float, most: int) -> list[JobId]:
        """Those that have, at most so many, the longest first."""
        late = takewhile(lambda entry: entry[0] <= now, self._heap)
        # One that was given back unstarted is there twice.
        return list(dict.fromkeys(job.id for _, _, job in islice(late, most)))

    def __len__(self) -> int:
        return len(self._heap)


def was_started(job: Job) -> bool:
    """Whether a job has run, or was redriven, which is no less: its time limit is over."""
    return bool(job.attempts or job.losses or job.generation)


def may_expire(job: Job) -> bool:
    """Whether a job has a time limit, waits, and was never started."""
    limited = job.conditions.expires > 0
    return limited and job.phase.state in WAITING and not was_started(job)
