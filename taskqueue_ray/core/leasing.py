"""Lease, start, release, lose: how jobs come into the hands of workers and back."""

from collections.abc import Iterable
from itertools import takewhile

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Lease, Lose, Release, Start
from taskqueue_ray.core.events import Event, Leased, Lost, Released, Started
from taskqueue_ray.core.exchange import WorkerInfo
from taskqueue_ray.core.lifecycle import FAIL, LEASE, RELEASE, STOP, JobState
from taskqueue_ray.core.model import (
    KEPT_ATTEMPTS,
    PENDING,
    POISON,
    Attempt,
    Failure,
    Finished,
    Job,
    JobId,
    Lane,
)
from taskqueue_ray.core.model import Leased as LeasedPhase
from taskqueue_ray.core.state import State, may_expire

_GRANT_BYTES = 64
"""What a grant weighs on the wire besides its payload."""


def decide_lease(state: State, command: Lease, now: float) -> list[Event]:
    """Choose up to `want` jobs that the worker can run."""
    worker = command.worker
    jobs = state.ready.pick(worker.queues, lambda lane: fits(worker, lane), command.want)
    if state.overdue(now):
        jobs = [job for job in jobs if not 0 < job.conditions.expires <= now or not may_expire(job)]
    if state.suspects:
        jobs = _set_apart(jobs, state.held.get(worker.id, {}).values())
    if not jobs:
        return []
    ids = [job.id for job in _portion(jobs, command.max_bytes)]
    return [Leased(now, worker.id, state.lease + 1, ids)]


def _set_apart(jobs: list[Job], held: Iterable[Job]) -> list[Job]:
    """A suspect goes to a worker alone, so that it is plain who is to blame if that one vanishes.

    Alone among those that have not begun: nothing else would ever come to a worker that is busy
    for hours. What stands behind it waits, or it would never have its turn.
    """
    unstarted = [job for job in held if not job.running]
    if any(job.suspect for job in unstarted):
        return []
    if jobs and jobs[0].suspect:
        return [] if unstarted else jobs[:1]
    return list(takewhile(lambda job: not job.suspect, jobs))


def _portion(jobs: list[Job], max_bytes: int) -> list[Job]:
    """As many of these as fit, and at least one."""
    size = 0
    for count, job in enumerate(jobs):
        size += len(job.payload) + _GRANT_BYTES
        if size > max_bytes and count:
            return jobs[:count]
    return jobs


def fits(worker: WorkerInfo, lane: Lane) -> bool:
    """Whether a worker can run the jobs of a lane."""
    executor, key, python = lane
    return (
        executor in worker.executors
        and (not key or key in worker.keys)
        and (python is None or python == worker.python)
    )


def apply_leased(state: State, event: Leased) -> None:
    """Put the jobs into the worker's hands, all under one lease."""
    phase = LeasedPhase(event.worker, event.lease, event.at)
    state.lease = event.lease
    held = state.held.setdefault(event.worker, {})
    jobs = state.jobs
    taken = []
    for job_id in event.ids:
        job = held[job_id] = jobs[job_id]
        state.move(job, LEASE)
        job.phase = phase
        job.delivery += 1
        taken.append(job)
    state.ready.took(taken)


def decide_start(state: State, command: Start, now: float) -> list[Event]:
    """Note which of the worker's jobs are newly reported as running."""
    held = state.held.get(command.worker, {})
    fresh = [i for i in command.ids if (job := held.get(i)) is not None and not job.running]
    return [Started(now, fresh)] if fresh else []


def apply_started(state: State, event: Started) -> None:
    """From now on the vanishing of their worker is a loss for these jobs."""
    for job_id in event.ids:
        job = state.jobs[job_id]
        job.running = True
        if job.suspicion:
            state.acquit(job)


def decide_release(state: State, command: Release, now: float) -> list[Event]:
    """Take back those of the named leases that are still the worker's."""
    held = state.held.get(command.worker, {})
    mine = [job_id for job_id in command.ids if job_id in held]
    return [Released(now, mine)] if mine else []


def apply_released(state: State, event: Released) -> None:
    """Back to where they were, with nothing counted against them."""
    for job_id in event.ids:
        return_job(state, state.jobs[job_id], event.at)


def return_job(state: State, job: Job, at: float) -> None:
    """Give a leased job back to its queue, or end it when it was to be cancelled."""
    state.drop_lease(job)
    if job.cancelling:
        state.finish(job, STOP, Finished(JobState.CANCELLED, at))
        return
    state.move(job, RELEASE)
    job.phase = PENDING
    state.ready.add(job)


def decide_lose(state: State, command: Lose, now: float, bounds: Bounds) -> list[Event]:
    """Tell jobs that were merely held from those that were running when the worker vanished.

    A worker that held one job alone was running it, whether or not it could still report so; and a
    suspect that was given to it is to blame.
    """
    jobs = list(state.held.get(command.worker, {}).values())
    if not jobs:
        return []
    event = Lost(now, command.worker, [], [], [], [])
    for job in jobs:
        to_blame = job.running or job.suspect or len(jobs) == 1
        _sort(job, event, bounds.max_losses, running=to_blame)
    return [event]


def _sort(job: Job, event: Lost, max_losses: int, *, running: bool) -> None:
    if job.cancelling:
        event.cancelled.append(job.id)
    elif not running:
        event.held.append(job.id)
    elif job.losses + 1 >= max_losses:
        event.poisoned.append(job.id)
    else:
        event.running.append(job.id)


def apply_lost(state: State, event: Lost) -> None:
    """Free what the worker held; charge a loss to what it was running.

    Each of them may have ended the worker before that was known, so each is a suspect.
    """
    for job_id in event.held + event.running:
        state.suspect(state.jobs[job_id])
    for job_id in event.held + event.cancelled:
        return_job(state, state.jobs[job_id], event.at)
    for job_id in event.running:
        job = state.jobs[job_id]
        _charge(state, job, event)
        return_job(state, job, event.at)
    for job_id in event.poisoned:
        job = state.jobs[job_id]
        _charge(state, job, event)
        lease = job.phase.lease if isinstance(job.phase, LeasedPhase) else 0
        state.drop_lease(job)
        state.finish(job, FAIL, Finished(JobState.FAILED, event.at, lease, reason=POISON))


def _charge(state: State, job: Job, event: Lost) -> None:
    phase = job.phase
    assert isinstance(phase, LeasedPhase)
    job.losses += 1
    state.totals[job.options.queue].losses += 1
    failure = Failure("loss", "WorkerLost")
    ran = Attempt(job.attempts, job.delivery, event.worker, phase.at, event.at - phase.at, failure)
    job.history = (*job.history, ran)[-KEPT_ATTEMPTS:]


def held_ids(state: State, worker: str) -> list[JobId]:
    """The jobs that are leased to a worker."""
    return list(state.held.get(worker, ()))
