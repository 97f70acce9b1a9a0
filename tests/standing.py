"""The rule of who may be leased, in a page, for tests that compare the queue with it."""

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Job, JobId, Options
from taskqueue_ray.core.state import State

Key = tuple[str, str]


def leasable(state: State) -> list[Job]:
    """What is pending and not paused, by priority and age; of each free key the best."""
    jobs = [job for job in state.jobs.values() if job.state is JobState.PENDING]
    jobs = [job for job in jobs if not is_paused(state, job.options)]
    taken = taken_keys(state)
    free = [job for job in jobs if (key := key_of(job)) is None or key not in taken]
    best: dict[Key | JobId, Job] = {}
    for job in sorted(free, key=_rank):
        best.setdefault(key_of(job) or job.id, job)
    return sorted(best.values(), key=lambda job: (-job.options.priority, job.ordinal))


def taken_keys(state: State) -> set[Key]:
    """The concurrency keys that a job has, which runs or keeps its key for a retry."""
    return {key for job in state.jobs.values() if (key := key_of(job)) and _has_key(job)}


def key_of(job: Job) -> Key | None:
    """The concurrency key of a job, in the scope of its queue."""
    key = job.conditions.concurrency_key
    return (job.options.queue, key) if key else None


def is_paused(state: State, one: Options) -> bool:
    """Whether a pause keeps such jobs from being leased."""
    return not state.pauses.keys().isdisjoint(whats_of(one))


def whats_of(one: Options) -> list[tuple[str, str]]:
    """By what such jobs can be paused."""
    return [("queue", one.queue), ("type", one.type), *(("tag", tag) for tag in one.tags)]


def _rank(job: Job) -> tuple[bool, int, int]:
    started = job.conditions.ordered and job.delivery > 0
    return (not started, -job.options.priority, job.ordinal)


def _has_key(job: Job) -> bool:
    waits_in_order = job.state is JobState.SCHEDULED and job.conditions.ordered and job.delivery > 0
    return job.state is JobState.PROCESSING or waits_in_order
