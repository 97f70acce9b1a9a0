"""Jobs that wait for others: for their parents, or for jobs that their code asked to wait for."""

from collections.abc import Iterable, Iterator

from taskqueue_ray.core.lifecycle import (
    AWAIT,
    AWAIT_ENDED,
    CANCEL_BLOCKED,
    UNBLOCK,
    UNBLOCK_LATER,
    JobState,
)
from taskqueue_ray.core.model import PLAIN, Blocked, Finished, Job, JobId, OnParentFailure
from taskqueue_ray.core.state import State

LOOKS = 10_000
"""Jobs that are looked at, at most, to find that jobs would wait for each other in a ring."""

UNNEEDED = "unneeded"
"""The reason of a job that was to run only if a parent failed, and none did."""


def policy_of(job: Job) -> OnParentFailure:
    """What the failure of a job that it waits for means to this one.

    One that has run and waits for others has no use for their success alone.
    """
    policy = job.conditions.on_parent_failure
    return "continue" if policy == "only" and job.delivery else policy


def goes_on(policy: OnParentFailure) -> bool:
    """Whether a failed parent no longer keeps the job waiting."""
    return policy in {"continue", "only"}


def is_awaited(parent: JobState | None, policy: OnParentFailure) -> bool:
    """Whether a job waits for another in this state; None: memory has forgotten it."""
    if parent is None or parent is JobState.COMPLETED:
        return False
    return not (goes_on(policy) and parent.final)


def is_lost(state: State, policy: OnParentFailure, parent: JobId, end: JobState | None) -> bool:
    """Whether a job is to be cancelled at once, because of how a parent has ended."""
    if not has_failed(end):
        return False
    # Only a dead letter that is still there can be redriven.
    can_wait = end is JobState.FAILED and parent in state.jobs
    return policy == "cancel" or (policy == "wait" and not can_wait)


def has_failed(end: JobState | None) -> bool:
    """Whether a job has ended without completing."""
    return end is not None and end.final and end is not JobState.COMPLETED


def block(state: State, job: Job, parents: Iterable[JobId], *, failed: bool) -> None:
    """Let a job wait for these, each of which will act on it when it ends."""
    job.phase = Blocked(set(), failed)
    join(state, job, parents)


def join(state: State, job: Job, parents: Iterable[JobId]) -> None:
    """Let a blocked job wait for these too."""
    phase = job.phase
    assert isinstance(phase, Blocked)
    for parent in parents:
        if parent not in phase.parents:
            phase.parents.add(parent)
            state.children.setdefault(parent, []).append(job.id)


def free(state: State, child: Job, parent: Job, at: float) -> None:
    """A blocked job waits for this parent no longer."""
    phase = child.phase
    assert isinstance(phase, Blocked)
    phase.parents.discard(parent.id)
    phase.failed = phase.failed or parent.state is not JobState.COMPLETED
    if phase.parents:
        return
    if policy_of(child) == "only" and not phase.failed:
        state.finish(child, CANCEL_BLOCKED, Finished(JobState.CANCELLED, at, reason=UNNEEDED))
        return
    due = child.due if child.due > state.at else 0.0
    state.move(child, UNBLOCK_LATER if due else UNBLOCK)
    state.wait(child, due)


def wait_for(state: State, job: Job, awaited: Iterable[JobId], at: float) -> None:
    """A job whose lease has just ended waits for others, unless they have ended.

    It lets go of its concurrency key: those that it waits for may need it.
    """
    policy = policy_of(job)
    ends = {one: state.state_of(one) for one in awaited}
    open_ones = [one for one, end in ends.items() if is_awaited(end, policy)]
    if not open_ones:
        state.move(job, AWAIT_ENDED)
        state.wait(job, 0.0)
        return
    state.move(job, AWAIT)
    block(state, job, open_ones, failed=False)
    if job.conditions is not PLAIN:
        state.ready.leave(job)
    if any(is_lost(state, policy, *one) for one in ends.items()):
        state.finish(job, CANCEL_BLOCKED, Finished(JobState.CANCELLED, at, reason="parent"))


def would_ring(state: State, waiting: Iterable[JobId], awaited: Iterable[JobId]) -> bool:
    """Whether one of the awaited jobs waits for one of those that would wait for it.

    Looks at no more than `LOOKS` jobs; a longer ring waits until one of its jobs is cancelled.
    """
    wanted = set(awaited)
    return any(one in wanted for one in _followers(state, waiting))


def _waits_for(state: State, child: JobId, parent: JobId) -> bool:
    """Whether it still does: one that was cancelled is among the children all the same."""
    job = state.jobs.get(child)
    phase = job.phase if job is not None else None
    return isinstance(phase, Blocked) and parent in phase.parents


def _followers(state: State, first: Iterable[JobId]) -> Iterator[JobId]:
    """These jobs and all that wait for them, near ones first."""
    line = list(dict.fromkeys(first))
    seen = set(line)
    for one in line:
        yield one
        for child in state.children.get(one, ()):
            if len(seen) >= LOOKS:
                break
            if child not in seen and _waits_for(state, child, one):
                seen.add(child)
                line.append(child)
