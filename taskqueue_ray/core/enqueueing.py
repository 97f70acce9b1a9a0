"""Enqueue: new jobs come in, repeated ids are the same job."""

from collections import Counter
from collections.abc import Iterable, Mapping

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Enqueue
from taskqueue_ray.core.errors import BatchTooLarge, InvalidRequest, QueueFull
from taskqueue_ray.core.events import Cancelled, Enqueued, Event
from taskqueue_ray.core.exchange import Batch, EnqueueReply
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import LATEST, Blocked, Job, JobId, JobSpec, Options
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.state import State

PRIORITIES = range(101)
WAITING = (JobState.SCHEDULED, JobState.BLOCKED, JobState.PENDING)


def decide(
    state: State, command: Enqueue, now: float, bounds: Bounds
) -> tuple[list[Event], EnqueueReply]:
    """Accept the jobs whose ids are new; refuse the whole batch when any of it is unsound."""
    batch = command.batch
    _check(batch, bounds)
    known = _known(state, command)
    reply = EnqueueReply(len(batch.jobs) - len(known), known)
    if len(known) == len(batch.jobs):
        return [], reply
    _check_depth(state, batch, known, bounds.max_depth)
    events: list[Event] = [Enqueued(now, batch, tuple(known))]
    orphans = _check_parents(state, command, set(known))
    if orphans:
        events.append(Cancelled(now, orphans, [], "parent"))
    return events, reply


def _check(batch: Batch, bounds: Bounds) -> None:
    if len(batch.jobs) > bounds.max_batch:
        raise BatchTooLarge("jobs", len(batch.jobs), bounds.max_batch)
    for options in batch.options:
        _check_options(options)
    last = len(batch.options)
    if any(not 0 <= spec.options < last or len(spec.id) != 16 for spec in batch.jobs):
        raise InvalidRequest("a job of the batch has a malformed id or refers to no options")
    if any(not 0 <= spec.due < LATEST for spec in batch.jobs):
        raise InvalidRequest("a job of the batch has a time that is negative or not a number")


def _check_options(options: Options) -> None:
    check_name("queue", options.queue)
    sound = options.priority in PRIORITIES and options.max_attempts >= 1
    if not sound or not 0 <= options.timeout < LATEST:
        raise InvalidRequest(
            "priority must be from 0 to 100, max_attempts at least 1 and timeout from 0 and finite"
        )
    backoff = options.backoff
    if any(not 0 <= one < LATEST for one in (backoff.base, backoff.factor, backoff.max)):
        raise InvalidRequest("the numbers of a backoff must be from 0 and finite")


def _check_depth(state: State, batch: Batch, known: list[int], limit: int) -> None:
    for queue, jobs in _arriving(batch, known).items():
        totals = state.totals.get(queue)
        waiting = sum(totals.counts[state] for state in WAITING) if totals else 0
        if waiting + jobs > limit:
            raise QueueFull(queue, limit)


def _arriving(batch: Batch, known: list[int]) -> Mapping[str, int]:
    """How many new jobs come to each queue."""
    queues = {options.queue for options in batch.options}
    if len(queues) == 1:
        return {queues.pop(): len(batch.jobs) - len(known)}
    repeats = set(known)
    fresh = (spec for index, spec in enumerate(batch.jobs) if index not in repeats)
    return Counter(batch.options[spec.options].queue for spec in fresh)


def _known(state: State, command: Enqueue) -> list[int]:
    jobs, settled, past = state.jobs, state.settled, command.past
    specs = command.batch.jobs
    seen = {spec.id for spec in specs}
    repeats = len(seen) != len(specs)
    if (
        not repeats
        and not past
        and jobs.keys().isdisjoint(seen)
        and settled.keys().isdisjoint(seen)
    ):
        return []
    seen.clear()
    known = []
    for index, spec in enumerate(specs):
        if spec.id in seen or spec.id in jobs or spec.id in settled or spec.id in past:
            known.append(index)
        seen.add(spec.id)
    return known


def _check_parents(state: State, command: Enqueue, known: set[int]) -> list[JobId]:
    """The new jobs that have a parent which ended without completing. Unknown parents refuse."""
    orphans: list[JobId] = []
    orphaned: set[JobId] = set()
    earlier: set[JobId] = set()
    for index, spec in enumerate(command.batch.jobs):
        if spec.parents and index not in known:
            states = [
                None if parent in earlier else _parent_state(state, command, spec, parent)
                for parent in spec.parents
            ]
            ended_badly = any(
                s is not None and s.final and s is not JobState.COMPLETED for s in states
            )
            if ended_badly or not orphaned.isdisjoint(spec.parents):
                orphans.append(spec.id)
                orphaned.add(spec.id)
        if index not in known:
            earlier.add(spec.id)
    return orphans


def _parent_state(state: State, command: Enqueue, spec: JobSpec, parent: JobId) -> JobState:
    found = state.state_of(parent) or command.past.get(parent)
    if found is None:
        raise InvalidRequest(
            f"job {to_text(spec.id)} depends on {to_text(parent)}, which this queue does not know; "
            "enqueue parents first, or earlier in the same batch"
        )
    return found


def apply(state: State, event: Enqueued) -> None:
    """Take the accepted jobs in."""
    at, batch = event.at, event.batch
    options = [state.intern(one) for one in batch.options]
    state.keys.update(one.key for one in options)
    for spec in _accepted(event):
        state.ordinal = ordinal = state.ordinal + 1
        job = Job(spec.id, options[spec.options], spec.payload, ordinal, at)
        state.jobs[spec.id] = job
        if spec.due or spec.parents:
            _hold_back(state, job, spec)
        else:
            state.ready.add(job)
        state.total(job.options.queue).counts[job.phase.state] += 1


def _accepted(event: Enqueued) -> Iterable[JobSpec]:
    if not event.known:
        return event.batch.jobs
    known = set(event.known)
    return (spec for index, spec in enumerate(event.batch.jobs) if index not in known)


def _hold_back(state: State, job: Job, spec: JobSpec) -> None:
    job.due = spec.due
    job.parents = tuple(dict.fromkeys(spec.parents))
    # A parent that memory has forgotten had completed: decide checked it against the history.
    waiting = [p for p in job.parents if state.state_of(p) not in (JobState.COMPLETED, None)]
    if waiting:
        job.phase = Blocked(len(waiting))
        for parent in waiting:
            state.children.setdefault(parent, []).append(job.id)
    elif spec.due > 0:
        state.wait(job, spec.due)
    else:
        state.ready.add(job)
