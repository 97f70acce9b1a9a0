"""What the end of a job means for the jobs that depend on it.

A parent that completed frees its children. One that ended in any other way cancels them, and in
turn what depends on those; or frees them too, or lets them wait for its redrive: each child says
which. This follows from the event that ended the parent, so it needs no event of its own.
"""

from operator import attrgetter

from taskqueue_ray.core import awaiting
from taskqueue_ray.core.lifecycle import CANCEL_BLOCKED, JobState
from taskqueue_ray.core.model import Blocked, Finished, Job
from taskqueue_ray.core.state import State


def apply_ended(state: State, parent: Job, at: float) -> None:
    """Let a parent that ended in this event act on its children."""
    waiting = []
    for child in _children(state, parent):
        policy = awaiting.policy_of(child)
        if parent.state is JobState.COMPLETED or awaiting.goes_on(policy):
            awaiting.free(state, child, parent, at)
        elif policy == "wait" and parent.state is JobState.FAILED:
            waiting.append(child.id)  # until the parent was redriven, and completed
        else:
            state.finish(child, CANCEL_BLOCKED, Finished(JobState.CANCELLED, at, reason="parent"))
    if waiting:
        state.children[parent.id] = waiting


def _children(state: State, parent: Job) -> list[Job]:
    """Those that wait for a job, by age: a job may have begun to wait after a younger one."""
    found = [state.jobs.get(child) for child in state.children.pop(parent.id, ())]
    blocked = [one for one in found if one is not None and isinstance(one.phase, Blocked)]
    blocked.sort(key=attrgetter("ordinal"))
    return blocked
