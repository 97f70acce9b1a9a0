"""Enqueue: new jobs come in, repeated ids are the same job."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from taskqueue_ray.core import awaiting, limits
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Enqueue
from taskqueue_ray.core.depth import check_room
from taskqueue_ray.core.errors import BatchEnded, BatchTooLarge, InvalidRequest
from taskqueue_ray.core.events import Cancelled, Enqueued, Event
from taskqueue_ray.core.exchange import Batch, EnqueueReply
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import CANCEL_BLOCKED, JobState
from taskqueue_ray.core.model import (
    LATEST,
    PLAIN,
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


class Parents(NamedTuple):
    """New jobs whose parents have ended: those that are to be cancelled for that, or because no
    parent failed, and those that run only because one has.
    """

    orphans: list[JobId]
    unneeded: list[JobId]
    failed: list[JobId]


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
    _check_before(state, command, set(skipped), conflicts.replaced)
    parents = _check_parents(state, command, set(skipped), conflicts.replaced, others)
    events: list[Event] = []
    if conflicts.replaced:
        events.append(Cancelled(now, conflicts.replaced, [], "replaced"))
    events.append(
        Enqueued(now, batch, tuple(skipped), tuple(others.items()), tuple(parents.failed))
    )
    if parents.orphans:
        events.append(Cancelled(now, parents.orphans, [], "parent"))
    if parents.unneeded:
        events.append(Cancelled(now, parents.unneeded, [], awaiting.UNNEEDED))
    return events, reply


def check(batch: Batch, bounds: Bounds) -> None:
    """Refuse a batch that is malformed or too large."""
    if len(batch.jobs) > bounds.max_batch:
        raise BatchTooLarge("jobs", len(batch.jobs), bounds.max_batch)
    for options in batch.options:
        check_options(options)
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
        limits.check_uses(spec.conditions.limits)
        if spec.conditions.on_parent_failure == "only" and not spec.parents:
            raise InvalidRequest("a job that runs only when a parent fails needs a parent")


def _check_conditions(conditions: Conditions) -> None:
    unique, longest = conditions.unique, MAX_TITLE
    if conditions.fired is not None:
        raise InvalidRequest("only a schedule can say that it has made a job")
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
    if any(bool(one.ids) is bool(one.workflow) or len(one.name) > MAX_TITLE for one in inputs):
        raise InvalidRequest(
            "an argument is to come from no job, or from jobs and counts, or its name is too long"
        )


def check_options(options: Options) -> None:
    """Refuse options that no job can have: a client's word is not enough."""
    check_name("queue", options.queue)
    sound = options.priority in PRIORITIES and options.max_attempts >= 1
    if not sound or not 0 <= options.timeout < LATEST:
        raise InvalidRequest(
            "priority must be from 0 to 100, max_attempts at least 1 and timeout from 0 and finite"
        )
    if not 0 <= (options.cancel_grace or 0.0) < LATEST or options.batch < 0:
        raise InvalidRequest("cancel_grace and batch must be from 0 and finite")
    backoff = options.backoff
    if any(not 0 <= one < LATEST for one in (backoff.base, backoff.factor, backoff.max)):
        raise InvalidRequest("the numbers of a backoff must be from 0 and finite")


def _check_depth(
    state: State, batch: Batch, known: list[int], replaced: list[JobId], limit: int
) -> None:
    leaving = Counter(state.jobs[one].options.queue for one in replaced)
    check_room(state, _arriving(batch, known), leaving, limit)


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
) -> Parents:
    """What the parents of the new jobs have ended as means to them. Unknown parents refuse."""
    ending = dict.fromkeys(replaced, JobState.CANCELLED)
    found = Parents([], [], [])
    orphaned: set[JobId] = set()
    earlier: set[JobId] = set()
    for index, spec in enumerate(command.batch.jobs):
        if spec.parents and index not in known:
            parents = [
                (parent, ending.get(parent) or _parent_state(state, command, spec, parent))
                for parent in (others.get(one, one) for one in spec.parents)
                if parent not in earlier
            ]
            policy = _policy(spec)
            lost = any(awaiting.is_lost(state, policy, *one) for one in parents)
            fatal = not awaiting.goes_on(policy) and not orphaned.isdisjoint(spec.parents)
            if lost or fatal:
                found.orphans.append(spec.id)
                orphaned.add(spec.id)
            elif policy == "only":
                _sort_only(found, spec, [end for _, end in parents])
        if index not in known:
            earlier.add(spec.id)
    return found


def _sort_only(found: Parents, spec: JobSpec, ends: list[JobState]) -> None:
    """A job that is to run only if a parent fails: whether one has, or none can any more."""
    if any(map(awaiting.has_failed, ends)):
        found.failed.append(spec.id)
    elif len(ends) == len(spec.parents) and all(end.final for end in ends):
        found.unneeded.append(spec.id)


def _check_before(state: State, command: Enqueue, known: set[int], replaced: list[JobId]) -> None:
    """What new jobs are to end before must be blocked still, and not be needed by them."""
    batch = command.batch
    for index in batch.special:
        spec = batch.jobs[index]
        if spec.conditions is None or not spec.conditions.before or index in known:
            continue
        for one in spec.conditions.before:
            if state.state_of(one) is not JobState.BLOCKED or one in replaced:
                raise BatchEnded(to_text(one))
        if spec.parents and awaiting.would_ring(state, spec.conditions.before, spec.parents):
            raise InvalidRequest(
                f"job {to_text(spec.id)} would wait for a job that waits for it: what runs after a "
                "batch cannot be needed by a job of it"
            )


def _policy(spec: JobSpec) -> OnParentFailure:
    return "cancel" if spec.conditions is None else spec.conditions.on_parent_failure


def _parent_state(state: State, command: Enqueue, spec: JobSpec, parent: JobId) -> JobState:
    found = state.state_of(parent) or command.past.get(parent)
    if found is None:
        raise InvalidRequest(
            f"job {to_text(spec.id)} depends on {to_text(parent)}, which this queue does not know; "
            "enqueue parents first, or earlier in the same batch"
        )
    return found


def apply(state: State, event: Enqueued) -> list[Job]:
    """Take the accepted jobs in; returns those that claim a unique key."""
    at, batch = event.at, event.batch
    options = [state.intern(one) for one in batch.options]
    state.keys.update(one.key for one in options)
    claimants: list[Job] = []
    orphans: list[Job] = []
    failed = frozenset(event.failed)
    before, line, key = None, None, ""
    for spec in _accepted(event):
        state.ordinal = ordinal = state.ordinal + 1
        own = options[spec.options]
        job = state.jobs[spec.id] = Job(spec.id, own, spec.payload, ordinal, at)
        if own is not before:
            before, line, counts = own, None, state.total(own.queue).counts
            paused = state.ready.sets_apart(own)
        conditions = PLAIN
        if spec.conditions is not None:
            conditions = job.conditions = state.conditions(spec.conditions)
            state.expiring.add(job)
            if conditions.unique is not None:
                claimants.append(job)
        if spec.due or spec.parents or paused or _stands_alone(conditions):
            if _hold_back(state, job, spec, failed=spec.id in failed):
                orphans.append(job)
        else:
            # What most jobs come to: alike, they stand in one line.
            if line is None or conditions.fair_key != key:
                key = conditions.fair_key
                line = state.ready.line_of(job)
            line.add(job)
        counts[job.phase.state] += 1
    for job in orphans:
        # `decide` finds those whose parents had ended before. But a job that is replaced takes its
        # children along, on whom jobs of this batch may depend.
        state.finish(job, CANCEL_BLOCKED, Finished(JobState.CANCELLED, at, reason="parent"))
    return claimants


def _meaning(spec: JobSpec, others: Mapping[JobId, JobId]) -> JobSpec:
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
    """The jobs that are new, as they were meant: what they depend on may go by another id."""
    if not event.known:
        return event.batch.jobs
    known, others = set(event.known), dict(event.others)
    accepted = (spec for index, spec in enumerate(event.batch.jobs) if index not in known)
    return (_meaning(spec, others) for spec in accepted) if others else accepted


def _stands_alone(conditions: Conditions) -> bool:
    """Whether a job cannot simply go to the end of a line."""
    return conditions is not PLAIN and bool(
        conditions.concurrency_key or conditions.limits or conditions.workflow or conditions.before
    )


def _go_before(state: State, job: Job) -> None:
    """Let what this job is to end before wait for it."""
    for one in job.conditions.before:
        other = state.jobs.get(one)
        if other is not None and isinstance(other.phase, Blocked):
            awaiting.join(state, other, (job.id,))


def _hold_back(state: State, job: Job, spec: JobSpec, *, failed: bool) -> bool:
    """Let a job wait for its parents and its time; whether a parent has ended badly."""
    lost = _place(state, job, spec, failed=failed)
    if job.conditions.workflow:
        state.tally(job.conditions.workflow, None, job.phase.state)
    _go_before(state, job)
    return lost


def _place(state: State, job: Job, spec: JobSpec, *, failed: bool) -> bool:
    job.due = spec.due
    job.parents = tuple(dict.fromkeys(spec.parents))
    # A parent that memory has forgotten had completed: decide checked it against the history.
    policy = job.conditions.on_parent_failure
    ends = [(parent, state.state_of(parent)) for parent in job.parents]
    waiting = [parent for parent, end in ends if awaiting.is_awaited(end, policy)]
    if waiting:
        failed = failed or any(awaiting.has_failed(end) for _, end in ends)
        awaiting.block(state, job, waiting, failed=failed)
        return any(awaiting.is_lost(state, policy, *one) for one in ends)
    if spec.due > 0:
        state.wait(job, spec.due)
    else:
        state.ready.add(job)
    return False
