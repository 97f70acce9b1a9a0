"""Settle: outcomes of runs, each accepted only under the lease that is current."""

from typing import NamedTuple

from msgspec.structs import replace

from taskqueue_ray.core import awaiting
from taskqueue_ray.core.commands import Settle
from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.events import Event, Failed, Retried, Settled
from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.lifecycle import (
    COMPLETE,
    FAIL,
    RELEASE,
    RETRY,
    SNOOZE,
    STOP,
    JobState,
    Move,
)
from taskqueue_ray.core.model import (
    KEPT_ATTEMPTS,
    LATEST,
    PLAIN,
    Attempt,
    Failure,
    Finished,
    Job,
    JobId,
    Leased,
)
from taskqueue_ray.core.state import State

_DONE = OutcomeKind.COMPLETED
_UNEXPLAINED = Failure("error", "Unknown")
_RING = Failure("error", "CircularWait")
_MANY = Failure("error", "TooManyAwaited")

MAX_AWAITED = 100_000
"""Jobs that one job may wait for."""


class Verdict(NamedTuple):
    """What became of the outcomes: events, and the ids of those that came under a stale lease."""

    events: list[Event]
    stale: list[JobId]


def decide(state: State, command: Settle, now: float) -> Verdict:
    """Sort outcomes by what they lead to. A repeat changes nothing; a stale one is named.

    Raises `InvalidRequest` when one has a time that no history could keep.
    """
    event = Settled(now, command.worker, [], [], [], [], [], [], [])
    completed, held, done = event.completed, state.held.get(command.worker, {}), _DONE
    stale: list[JobId] = []
    seen: set[JobId] = set()
    for outcome, chance in zip(command.outcomes, command.chances, strict=True):
        job_id = outcome.id
        job = held.get(job_id)
        phase = job.phase if job is not None else None
        if (
            job is None
            or type(phase) is not Leased
            or phase.lease != outcome.lease
            or job.delivery != outcome.delivery
            or job_id in seen
        ):
            twice = job_id in seen and job is not None and job.delivery == outcome.delivery
            if not twice and not _is_repeat(state, outcome):
                stale.append(job_id)
            continue
        if not abs(outcome.started_at) + abs(outcome.seconds) < LATEST:
            raise InvalidRequest("an outcome has a time that is not a number or too far away")
        seen.add(job_id)
        if outcome.kind is done:
            completed.append(outcome)
        else:
            _sort(state, event, job, outcome, now, chance)
    return Verdict([event] if seen else [], stale)


def _is_repeat(state: State, outcome: Outcome) -> bool:
    """Whether this lease has already settled this job so (its answer may have been lost).

    A completion is a repeat only of a completion: when the lease was lost instead, its worker
    must learn that the result does not count.
    """
    job = state.jobs.get(outcome.id) or state.settled.get(outcome.id)
    if job is None or job.delivery != outcome.delivery or job.state is JobState.PROCESSING:
        return False
    return (job.state is JobState.COMPLETED) == (outcome.kind is _DONE)


def _sort(
    state: State, event: Settled, job: Job, outcome: Outcome, now: float, chance: float
) -> None:
    kind = outcome.kind
    if kind is OutcomeKind.CANCELLED or job.cancelling:
        event.cancelled.append(outcome)
    elif kind is OutcomeKind.RELEASED:
        event.released.append(outcome.id)
    elif kind is OutcomeKind.SNOOZED:
        event.snoozed.append(outcome)
    elif kind is OutcomeKind.WAITING:
        _sort_waiting(state, event, outcome)
    elif outcome.final:
        event.failed.append(Failed(outcome, "final"))
    elif job.attempts + 1 >= job.options.max_attempts:
        event.failed.append(Failed(outcome, "attempts"))
    else:
        wait = job.options.backoff.delay(job.attempts + 1, chance)
        event.retried.append(Retried(outcome, _moment(outcome.due, now + wait)))


def _sort_waiting(state: State, event: Settled, outcome: Outcome) -> None:
    """One that could never go on fails at once, as an attempt of its own doing."""
    problem = None
    if len(outcome.awaited) > MAX_AWAITED:
        problem = _MANY
    elif awaiting.would_ring(state, (outcome.id,), outcome.awaited):
        problem = _RING
    if problem is None:
        event.waiting.append(outcome)
    else:
        event.failed.append(Failed(replace(outcome, failure=problem, awaited=()), "final"))


def _moment(due: float, otherwise: float) -> float:
    """A time that a worker sent, when it is one: a job with another would wait for ever."""
    return due if 0 < due < LATEST else otherwise


def apply(state: State, event: Settled) -> None:
    """End or re-queue the jobs."""
    at, jobs, held = event.at, state.jobs, state.held.get(event.worker, {})
    if state.usage.counted:
        state.ready.gates.give_back(jobs[one.id] for one in event.completed)
    for outcome in event.completed:
        job = jobs.pop(outcome.id)
        del held[outcome.id]
        _complete(state, job, outcome, at)
    if not held:
        state.held.pop(event.worker, None)
    for retried in event.retried:
        job = _ran(state, retried.outcome, event.worker)
        _wait_again(state, job, RETRY, retried.due)
        state.totals[job.options.queue].retries += 1
    for failed in event.failed:
        job = _ran(state, failed.outcome, event.worker)
        _finish(state, job, FAIL, failed.outcome, at, failed.reason)
    for outcome in event.snoozed:
        job = _put_off(state, outcome.id)
        _wait_again(state, job, SNOOZE, _moment(outcome.due, at))
    for outcome in event.cancelled:
        job = _ran(state, outcome, event.worker)
        _finish(state, job, STOP, outcome, at, "")
    for job_id in event.released:
        job = jobs[job_id]
        state.drop_lease(job)
        _wait_again(state, job, RELEASE, 0.0)
    for outcome in event.waiting:
        awaiting.wait_for(state, _put_off(state, outcome.id), outcome.awaited, at)


def _put_off(state: State, job_id: JobId) -> Job:
    """Take the lease off a job that goes on later. It was started in time."""
    job = state.jobs[job_id]
    state.drop_lease(job)
    if job.conditions.expires:
        job.conditions = replace(job.conditions, expires=0.0)
    return job


def _complete(state: State, job: Job, outcome: Outcome, at: float) -> None:
    """The common end of a job, without the detours of `State.finish`: it is most of the load."""
    state.move(job, COMPLETE)
    job.phase = Finished(
        JobState.COMPLETED, at, outcome.lease, outcome.result, outcome.started_at, outcome.seconds
    )
    job.attempts += 1
    job.running = job.cancelling = False
    if job.checkpoint is not None:
        job.checkpoint = None
    if job.suspect:
        state.acquit(job)
    state.settled[job.id] = job
    state.unfolded[job.id + job.generation.to_bytes(4, "big") if job.generation else job.id] = job
    own = job.conditions
    if (own is not PLAIN and own.holds_a_key) or (state.children and job.id in state.children):
        state.ended.append(job)


def _ran(state: State, outcome: Outcome, worker: str) -> Job:
    """Take the lease off a job and count the attempt that failed."""
    job = state.jobs[outcome.id]
    state.drop_lease(job)
    failure = outcome.failure
    if failure is None and outcome.kind is OutcomeKind.ERRORED:
        failure = _UNEXPLAINED  # an attempt that is not counted could be repeated for ever
    if failure is not None:
        job.attempts += 1
        ran = Attempt(
            job.attempts,
            outcome.delivery,
            worker,
            outcome.started_at,
            outcome.seconds,
            failure,
        )
        job.history = (*job.history, ran)[-KEPT_ATTEMPTS:]
    return job


def _wait_again(state: State, job: Job, move: Move, due: float) -> None:
    state.move(job, move)
    state.wait(job, due)


def _finish(state: State, job: Job, move: Move, outcome: Outcome, at: float, why: str) -> None:
    assert move.target is not None
    ran = (outcome.result, outcome.started_at, outcome.seconds)
    state.finish(job, move, Finished(move.target, at, outcome.lease, *ran, why))
