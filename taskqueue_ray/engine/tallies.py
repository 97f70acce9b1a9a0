"""Summaries of what ended: dead letters by how they failed, finishes by time."""

from collections import Counter
from itertools import islice

from msgspec.structs import replace

from taskqueue_ray.core.exchange import FailureGroup, FailureSummary
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, Job
from taskqueue_ray.core.state import State

GROUPS = 500
"""The most groups that a summary has: types of errors are whatever jobs raise."""


def group_failures(state: State, queue: str | None, most: int) -> FailureSummary:
    """Dead letters by queue, type, error and reason; at most `most` of them are looked at."""
    groups: dict[tuple[str, str, str, str], FailureGroup] = {}
    dead = state.dead.jobs(queue)
    for job in islice(dead, most):
        made = _group_of(job)
        key = (made.queue, made.type, made.error_type, made.reason)
        found = groups.get(key)
        groups[key] = made if found is None else _joined(found, made)
    largest = sorted(groups.values(), key=lambda one: (-one.count, -one.last_at))
    complete = next(dead, None) is None and len(largest) <= GROUPS
    looked = sum(one.count for one in largest)
    return FailureSummary(largest[:GROUPS], looked, complete)


def tally_finishes(
    state: State, since: float, every: float, most: int
) -> list[tuple[float, JobState, int]]:
    """The latest `most` finishes that are not folded, by their span of `every` seconds."""
    parts = [state.unfolded, *reversed(state.marked.values())]
    newest = (job.phase for part in parts for job in reversed(part.values()))
    counts: Counter[tuple[float, JobState]] = Counter()
    for phase in islice(newest, most):
        if isinstance(phase, Finished) and phase.at >= since:
            counts[phase.at // every * every, phase.state] += 1
    return [(at, how, count) for (at, how), count in sorted(counts.items())]


def _group_of(job: Job) -> FailureGroup:
    phase = job.phase
    assert isinstance(phase, Finished)
    error = job.history[-1].failure.error_type if job.history else phase.reason
    options = job.options
    return FailureGroup(
        options.queue, options.type, error, phase.reason, 1, phase.at, phase.at, job.id
    )


def _joined(group: FailureGroup, one: FailureGroup) -> FailureGroup:
    first, last = min(group.first_at, one.first_at), max(group.last_at, one.last_at)
    latest = one.latest if one.last_at >= group.last_at else group.latest
    return replace(group, count=group.count + 1, first_at=first, last_at=last, latest=latest)
