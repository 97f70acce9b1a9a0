"""Purge, stored code, receipts and folding: what operators and the compaction do."""

from itertools import islice, takewhile
from math import inf, nextafter

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Fold, Purge, StoreCode
from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.events import (
    CodeStored,
    Event,
    Folded,
    Marked,
    Opened,
    Purged,
    Received,
)
from taskqueue_ray.core.lifecycle import JobState, Verb, can, find_move
from taskqueue_ray.core.model import LATEST, Job, JobId, Receipt, Settled
from taskqueue_ray.core.retention import term_of
from taskqueue_ray.core.state import State, finish_key

PORTION = 1_000
"""Dead letters that are dropped in one step, so that a million hold nothing up."""


def decide_purge(state: State, command: Purge, now: float) -> tuple[list[Event], list[JobId]]:
    """The ended jobs among the named ones whose records history neither has nor is to get.

    A record that is marked may be gone from the snapshot on which this event is replayed.
    """
    ids = [i for i in dict.fromkeys(command.ids) if _has_record(state, i)]
    return ([Purged(now, ids)] if ids else []), ids


def decide_retire(state: State, now: float, bounds: Bounds) -> tuple[list[Event], int]:
    """The dead letters whose term is over, a portion of them; not those that others wait for."""
    over: dict[JobId, None] = {}
    for queue in state.dead.queues():
        own = state.settings.get(queue)
        term = term_of(bounds.retention, own.retention if own else None, JobState.FAILED.value)
        if term is not None and len(over) < PORTION:
            old = (i for i in state.dead.until(queue, now - term) if _has_record(state, i))
            over.update(dict.fromkeys(islice(old, PORTION - len(over))))
    return ([Purged(now, list(over))] if over else []), len(over)


def apply_purged(state: State, event: Purged) -> None:
    """Drop records; how the jobs ended is still remembered, so that their ids stay taken."""
    for job_id in event.ids:
        job = state.jobs.pop(job_id, None) or state.settled[job_id]
        if not isinstance(job, Job):
            continue
        state.total(job.options.queue).leave(job.state)
        state.move(job, find_move(job.state, Verb.PURGE, None))
        state.settled[job_id] = _remembered(job)
        for records in (state.unfolded, *state.marked.values()):
            records.pop(finish_key(job), None)


def decide_store_code(state: State, command: StoreCode) -> list[Event]:
    """Keep code once."""
    if not 0 <= command.code.at < LATEST:
        raise InvalidRequest("code must come with the time at which it was made")
    return [] if command.hash in state.codes else [CodeStored(command.hash, command.code)]


def apply_code_stored(state: State, event: CodeStored) -> None:
    """Keep code for good: a client that has sent it once may use it at any time."""
    state.codes[event.hash] = event.code


def decide_fold(state: State, command: Fold, now: float, bounds: Bounds) -> list[Event]:
    """Note what history covers, and from when on memory must still know what ended."""
    if command.through <= state.folded:
        return []
    before = max(state.forgotten_before, now - bounds.remember_seconds)
    excess = len(state.settled) - bounds.remembered
    if excess > 0:
        # `settled` is in the order of ending, so the oldest that are over the count come first.
        ends = (_ended_at(record) for record in state.settled.values())
        before = max(before, next(islice(ends, excess, None), nextafter(state.at, inf)))
    return [Folded(command.through, before, now - bounds.remember_seconds)]


def apply_received(state: State, event: Received) -> None:
    """Keep the first answer to a command."""
    state.receipts[event.command] = Receipt(event.at, event.reply)


def apply_opened(state: State, event: Opened) -> None:
    """A new writer has begun."""
    state.epoch = event.epoch


def apply_marked(state: State, event: Marked) -> None:
    """What ended so far is the next part of history."""
    state.marked[event.commit] = state.unfolded
    state.unfolded = {}


def apply_folded(state: State, event: Folded) -> None:
    """Let go of records that history has, and of memories beyond the horizon."""
    for commit in [commit for commit in state.marked if commit <= event.through]:
        for job in state.marked.pop(commit).values():
            if state.settled.get(job.id) is job:
                state.settled[job.id] = _remembered(job)
    state.folded = max(state.folded, event.through)
    state.forgotten_before = max(state.forgotten_before, event.forget_before)
    _forget_jobs(state, state.forgotten_before)
    _forget_workflows(state, state.forgotten_before)
    for key in [k for k, receipt in state.receipts.items() if receipt.at < event.receipts_before]:
        del state.receipts[key]


def _forget_jobs(state: State, before: float) -> None:
    # In the order of ending, so the walk stops at the first that is young or not in history.
    old = takewhile(
        lambda item: isinstance(item[1], Settled) and item[1].at < before, state.settled.items()
    )
    for job_id in [job_id for job_id, _ in old]:
        del state.settled[job_id]


def _forget_workflows(state: State, before: float) -> None:
    """Counters go with the memory of the last job; dead letters keep theirs."""
    old = [name for name, tally in state.workflows.items() if tally.at < before]
    for name in old:
        if all(one.final and one is not JobState.FAILED for one in state.workflows[name].counts):
            del state.workflows[name]


def _has_record(state: State, job_id: JobId) -> bool:
    job = state.jobs.get(job_id) or state.settled.get(job_id)
    if not isinstance(job, Job) or not can(job.state, Verb.PURGE):
        return False
    if any(state.state_of(child) is JobState.BLOCKED for child in state.children.get(job_id, ())):
        return False  # others wait for its redrive
    return job_id in state.jobs or finish_key(job) in state.unfolded


def _remembered(job: Job) -> Settled:
    return Settled(job.state, _ended_at(job), job.delivery, getattr(job.phase, "lease", 0))


def _ended_at(record: Job | Settled) -> float:
    at = record.at if isinstance(record, Settled) else getattr(record.phase, "at", 0.0)
    return float(at)
