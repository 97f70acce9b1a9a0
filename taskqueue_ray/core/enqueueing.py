"""Enqueue: new jobs come in, repeated ids are the same job."""

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Enqueue
from taskqueue_ray.core.errors import BatchTooLarge, InvalidRequest, QueueFull
from taskqueue_ray.core.events import Cancelled, Enqueued, Event
from taskqueue_ray.core.exchange import Batch, EnqueueReply
from taskqueue_ray.core.expiries import WAITING
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import CANCEL_BLOCKED, JobState
from taskqueue_ray.core.model import (
    LATEST,
    Blocked,
    Conditions,
    Conflicts,
    Finished,
    Input,
    Job,
    JobId,
    JobSpec,
    OnParentFailure,
    Options,
)
from taskqueue_ray.core.naming import MAX_TITLE, check_name
from taskqueue_ray.core.state import State

PRIORITIES = range(101)


def decide(
    state: State,
    command: Enqueue,
    now: float,
    bounds: Bounds,
    known: list[int],
    conflicts: Conflicts,
) -> tuple[list[Event], EnqueueReply]:
    """Accept the jobs whose ids are new; refuse the whole batch when any of it is unsound.

    `known` are the indexes of repeats; `check` must have been called before.
    """
    batch = command.batch
    skipped = known
    if conflicts.existing or conflicts.dropped:
        skipped = sorted({*known, *conflicts.existing, *conflicts.dropped})
    reply = EnqueueReply(
        len(batch.jobs) - len(skipped), known, conflicts.existing, conflicts.dropped
    )
    if len(skipped) == len(batch.jobs):
        return [], reply
    _check_depth(state, batch, skipped, conflicts.replaced, bounds.max_depth)
    others = {batch.jobs[index].id: holder for index, holder in conflicts.existing.items()}
    orphans = _check_parents(state, command, set(skipped), conflicts.replaced, others)
    events: list[Event] = []
    if conflicts.replaced:
        events.append(Cancelled(now, conflicts.replaced, [], "replaced"))
    events.append(Enqueued(now, batch, tuple(skipped), tuple(others.items())))
    if orphans:
        events.append(Cancelled(now, orphans, [], "parent"))
    return events, reply


def check(batch: Batch, bounds: Bounds) -> None:
    """Refuse a batch that is malformed or too large."""
    if len(batch.jobs) > bounds.max_batch:
        raise BatchTooLarge("jobs", len(batch.jobs), bounds.max_batch)
    for options in batch.options:
        _check_options(options)
    last = len(batch.options)
    if any(not 0 <= spec.options < last or len(spec.id) != 16 for spec in batch.jobs):
        raise InvalidRequest("a job of the batch has a malformed id or refers to no options")
    if any(not 0 <= spec.due < LATEST for spec in batch.jobs):
        raise InvalidRequest("a job of the batch has a time that is negative or not a number")
    for index in batch.special:
        spec = batch.jobs[index]
        assert spec.conditions is not None
        _check_conditions(spec.conditions)
        _check_inputs(spec.conditions.inputs, spec.parents)


def _check_conditions(conditions: Conditions) -> None:
    unique, longest = conditions.unique, MAX_TITLE
    if not 0 <= conditions.expires < LATEST or (unique and not 0 <= unique.within < LATEST):
        raise InvalidRequest("a condition of a job has a time that is negative or not a number")
    keyless = unique is not None and not 0 < len(unique.key) <= longest
    if keyless or max(len(conditions.fair_key), len(conditions.concurrency_key)) > longest:
        raise InvalidRequest(f"a key of a job is empty or longer than {MAX_TITLE} characters")


def _check_inputs(inputs: tuple[Input, ...], parents: tuple[JobId, ...]) -> None:
    if not inputs:
        return
    if not {job_id for one in inputs for job_id in one.ids}.issubset(parents):
        raise InvalidRequest("an argument is to come from a job that is no parent")
    if any(not one.ids or len(one.name) > MAX_TITLE for one in inputs):
        raise InvalidRequest("an argument is to come from no job, or its name is too long")


def _check_options(options: Options) -> None:
    check_name("queue", options.queue)
    sound = options.priority in PRIORITIES and options.max_attempts >= 1
    if not sound or not 0 <= options.timeout < LATEST:
        raise InvalidRequest(
            "priority must be from 0 to 100, max_attempts at least 1 and timeout from 0 and finite"
        )
    if not 0 <= (options.cancel_grace or 0.0) < LATEST:
        raise InvalidRequest("cancel_grace must be from 0 and finite")
    backoff = options.backoff
    if any(not 0 <= one < LATEST for one in (backoff.base, backoff.factor, backoff.max)):
        raise InvalidRequest("the numbers of a backoff must be from 0 and finite")


def _check_depth(
    state: State, batch: Batch, known: list[int], replaced: list[JobId], limit: int
) -> None:
    leaving = Counter(state.jobs[one].options.queue for one in replaced)
    for queue, jobs in _arriving(batch, known).items():
        totals = state.totals.get(queue)
        waiting = sum(totals.counts[state] for state in WAITING) if totals else 0
        own = state.settings.get(queue)
        if own is not None and own.max_depth is not None:
            most = min(limit, own.max_depth)
        else:
            most = limit
        if waiting + jobs - leaving[queue] > most:
            raise QueueFull(queue, most)


def _arriving(batch: Batch, known: list[int]) -> Mapping[str, int]:
    """How many new jobs come to each queue."""
    queues = {options.queue for options in batch.options}
    if len(queues) == 1:
        return {queues.pop(): len(batch.jobs) - len(known)}
    repeats = set(known)
    fresh = (spec for index, spec in enumerate(batch.jobs) if index not in repeats)
    return Counter(batch.options[spec.options].queue for spec in fresh)


def find_known(state: State, command: Enqueue) -> list[int]:
    """The indexes of jobs whose ids were there before, or earlier in the batch."""
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


def _check_parents(
    state: State,
    command: Enqueue,
    known: set[int],
    replaced: list[JobId],
    others: Mapping[JobId, JobId],
) -> list[JobId]:
    """The new jobs that have a parent which ended without completing. Unknown parents refuse."""
    ending = dict.fromkeys(replaced, JobState.CANCELLED)
    orphans: list[JobId] = []
    orphaned: set[JobId] = set()
    earlier: set[JobId] = set()
    for index, spec in enumerate(command.batch.jobs):
        if spec.parents and index not in known:
            parents = [
                (parent, ending.get(parent) or _parent_state(state, command, spec, parent))
                for parent in (others.get(one, one) for one in spec.parents)
                if parent not in earlier
            ]
            lost = any(_is_lost(state, _policy(spec), *one) for one in parents)
            if lost or (_policy(spec) != "continue" and not orphaned.isdisjoint(spec.parents)):
                orphans.append(spec.id)
                orphaned.add(spec.id)
        if index not in known:
            earlier.add(spec.id)
    return orphans


def _policy(spec: JobSpec) -> OnParentFailure:
    return "cancel" if spec.conditions is None else spec.conditions.on_parent_failure


def _is_lost(state: State, policy: OnParentFailure, parent: JobId, end: JobState | None) -> bool:
    """Whether a job is to be cancelled at once, because of how a parent has ended."""
    if end is None or not end.final or end is JobState.COMPLETED:
        return False
    # Only a dead letter that is still there can be redriven.
    can_wait = end is JobState.FAILED and parent in state.jobs
    return policy == "cancel" or (policy == "wait" and not can_wait)


def _parent_state(state: State, command: Enqueue, spec: JobSpec, parent: JobId) -> JobState:
    found = state.state_of(parent) or command.past.get(parent)
    if found is None:
        raise InvalidRequest(
            f"job {to_text(spec.id)} depends on {to_text(parent)}, which this queue does not know; "
            "enqueue parents first, or earlier in the same batch"
        )
    return found


def apply(state: State, event: Enqueued) -> list[Job]:
    """Take the accepted jobs in; returns those with conditions."""
    at, batch = event.at, event.batch
    options = [state.intern(one) for one in batch.options]
    state.keys.update(one.key for one in options)
    special: list[Job] = []
    orphans: list[Job] = []
    others = dict(event.others)
    paused, before = state.ready.any_pauses, None
    for spec in _accepted(event):
        state.ordinal = ordinal = state.ordinal + 1
        own = options[spec.options]
        job = state.jobs[spec.id] = Job(spec.id, own, spec.payload, ordinal, at)
        if own is not before:
            before, line, counts = own, None, state.total(own.queue).counts
        if spec.due or spec.parents or spec.conditions is not None or paused:
            meant = _meaning(spec, others) if others else spec
            if meant.conditions is not None:
                job.conditions = state.conditions(meant.conditions)
                state.expiring.add(job)
                special.append(job)
            if _hold_back(state, job, meant):
                orphans.append(job)
        else:
            # What most jobs come to: alike, they stand in one line.
            if line is None:
                line = state.ready.line_of(job)
            line.add(job)
        counts[job.phase.state] += 1
    for job in orphans:
        # `decide` finds those whose parents had ended before. But a job that is replaced takes its
        # children along, on whom jobs of this batch may depend.
        state.finish(job, CANCEL_BLOCKED, Finished(JobState.CANCELLED, at, reason="parent"))
    return special


def _meaning(spec: JobSpec, others: Mapping[JobId, JobId]) -> JobSpec:
    """A job as it was meant: what it depends on may go by another id."""
    if others.keys().isdisjoint(spec.parents):
        return spec
    parents = tuple(others.get(one, one) for one in spec.parents)
    conditions = spec.conditions
    if conditions is not None and conditions.inputs:
        inputs = tuple(
            replace(one, ids=tuple(others.get(job_id, job_id) for job_id in one.ids))
            for one in conditions.inputs
        )
        conditions = replace(conditions, inputs=inputs)
    return replace(spec, parents=parents, conditions=conditions)


def _accepted(event: Enqueued) -> Iterable[JobSpec]:
    if not event.known:
        return event.batch.jobs
    known = set(event.known)
    return (spec for index, spec in enumerate(event.batch.jobs) if index not in known)


def _hold_back(state: State, job: Job, spec: JobSpec) -> bool:
    """Let a job wait for its parents and its time; whether a parent has ended badly."""
    job.due = spec.due
    job.parents = tuple(dict.fromkeys(spec.parents))
    # A parent that memory has forgotten had completed: decide checked it against the history.
    policy = job.conditions.on_parent_failure
    waiting = [p for p in job.parents if _is_awaited(state.state_of(p), policy == "continue")]
    if waiting:
        job.phase = Blocked(set(waiting))
        for parent in waiting:
            state.children.setdefault(parent, []).append(job.id)
        return any(_is_lost(state, policy, one, state.state_of(one)) for one in waiting)
    if spec.due > 0:
        state.wait(job, spec.due)
    else:
        state.ready.add(job)
    return False


def _is_awaited(parent: JobState | None, goes_on: bool) -> bool:
    """Whether a child waits for a parent in this state."""
    if parent is None or parent is JobState.COMPLETED:
        return False
    return not (goes_on and parent.final)
