"""Lease, start, release, lose: how jobs come into the hands of workers and back."""

from collections.abc import Collection

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Lease, Lose, Release, Start
from taskqueue_ray.core.events import Event, Leased, Lost, Released, Started
from taskqueue_ray.core.exchange import WorkerInfo
from taskqueue_ray.core.expiries import may_expire
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
    kind_of,
    shape_of,
)
from taskqueue_ray.core.model import Leased as LeasedPhase
from taskqueue_ray.core.state import State

_GRANT_BYTES = 64
"""What a grant weighs on the wire besides its payload."""

ROUNDS = 8
"""Picks in one lease, while lines that one limit holds make way for others of another."""

PATIENCE = 10.0
"""Seconds for which a worker empties its hands for a suspect; it passes one over after that."""


def decide_lease(state: State, command: Lease, now: float) -> list[Event]:
    """Choose up to `want` jobs that the worker can run."""
    worker, want = command.worker, command.want
    if state.suspects and want > 0:
        # Were all suspects passed over, there would still be as many as it wants.
        want += len(state.suspects)
    jobs = _pick(state, worker, want, now)
    if state.expiring.due(now):
        jobs = [job for job in jobs if not 0 < job.conditions.expires <= now or not may_expire(job)]
    if state.suspects:
        jobs = _apart(state, worker, jobs, now)[: command.want]
    if not jobs:
        return []
    ids = [job.id for job in _portion(jobs, command.max_bytes)]
    return [Leased(now, worker.id, state.lease + 1, ids)]


def _pick(state: State, worker: WorkerInfo, want: int, now: float) -> list[Job]:
    def able(lane: Lane) -> bool:
        return fits(worker, lane)

    ready = state.ready
    if not ready.gates.places:
        return ready.pick(worker.queues, able, want)
    jobs: list[Job] = []
    for _ in range(ROUNDS):
        ready.gates.reopen(now)
        if not ready.gates.any_open():
            return ready.pick(worker.queues, able, want)
        hands = state.held.get(worker.id, {}).values()
        allowance = ready.allowance(now, worker.concurrency, hands)
        jobs = ready.pick(worker.queues, able, want, allowance)
        again = ready.gates.put_away(allowance.noted, now)
        if not again or len(jobs) >= want:
            break
    return jobs


def _portion(jobs: list[Job], max_bytes: int) -> list[Job]:
    """As many of these as fit, and at least one."""
    size = 0
    for count, job in enumerate(jobs):
        size += len(job.payload) + _GRANT_BYTES
        if job.checkpoint is not None:
            size += len(job.checkpoint.sealed)
        if size > max_bytes and count:
            return jobs[:count]
    return jobs


def _apart(state: State, worker: WorkerInfo, jobs: list[Job], now: float) -> list[Job]:
    """The first of these jobs that may go into the worker's hands together: a suspect goes alone.

    A worker with a suspect in its hands gets nothing else until that has begun or ended, so the
    jobs behind a suspect wait, but no longer than the worker takes to become fit to try it.
    """
    hands = state.held.get(worker.id, {}).values()
    if any(job.suspect for job in hands):
        return []
    patient = all(now - _leased_at(job) < PATIENCE for job in hands)
    portion: list[Job] = []
    for job in jobs:
        if not job.suspect:
            portion.append(job)
        elif _can_try(job, hands, worker.concurrency, patient=patient):
            return portion or [job]
        elif patient:
            break
    return portion


def _can_try(suspect: Job, hands: Collection[Job], concurrency: int, *, patient: bool) -> bool:
    """Whether the worker can begin a suspect at once, so that its vanishing would tell something.

    What runs beside it would be charged too, so one that was charged before runs beside nothing;
    but it would never run where jobs take long, so there it does.
    """
    if not hands:
        return True
    if (suspect.losses and patient) or not all(job.running for job in hands):
        return False
    slots = sum(job.options.executor == "process" for job in hands)
    return suspect.options.executor != "process" or slots < concurrency


def fits(worker: WorkerInfo, lane: Lane) -> bool:
    """Whether a worker can run the jobs of a lane."""
    place, key, python = lane
    return (
        kind_of(place) in worker.executors
        and place not in worker.full
        and shape_of(place) == worker.shape
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
    if state.limits.rules:
        state.ready.gates.take(taken, event.at)


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

    A worker that held one job alone was running it, whether or not it could still report so. So
    was one that held a suspect, which it got apart from others for this. A job for Ray may be held
    for long before it begins, and does so in no child of the worker: it ran if it was reported.
    """
    jobs = list(state.held.get(command.worker, {}).values())
    if not jobs:
        return []
    event = Lost(now, command.worker, [], [], [], [])
    for job in jobs:
        alone = len(jobs) == 1 and not job.options.in_ray
        running = job.running or job.suspect or alone
        _sort(job, event, bounds.max_losses, running=running)
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

    A job that was not reported as running may be what killed the worker, so quickly that nobody
    heard of it: it is a suspect from now on.
    """
    for job_id in event.cancelled:
        return_job(state, state.jobs[job_id], event.at)
    for job_id in event.held:
        job = state.jobs[job_id]
        return_job(state, job, event.at)
        if not job.options.in_ray:
            state.suspect(job)
    for job_id in event.running:
        job = state.jobs[job_id]
        reported = job.running
        _charge(state, job, event)
        return_job(state, job, event.at)
        if not reported:
            state.suspect(job)
    for job_id in event.poisoned:
        job = state.jobs[job_id]
        _charge(state, job, event)
        lease = job.phase.lease if isinstance(job.phase, LeasedPhase) else 0
        state.drop_lease(job)
        state.finish(job, FAIL, Finished(JobState.FAILED, event.at, lease, reason=POISON))
        state.totals[job.options.queue].poisoned += 1


def _leased_at(job: Job) -> float:
    return job.phase.at if isinstance(job.phase, LeasedPhase) else 0.0


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
