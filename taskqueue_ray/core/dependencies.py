"""What the end of a job means for the jobs that depend on it.

A parent that completed frees its children. One that ended in any other way cancels them, and in
turn what depends on those; or frees them too, or lets them wait for its redrive: each child says
which. This follows from the event that ended the parent, so it needs no event of its own.
"""

from taskqueue_ray.core.lifecycle import CANCEL_BLOCKED, UNBLOCK, UNBLOCK_LATER, JobState
from taskqueue_ray.core.model import Blocked, Finished, Job, JobId
from taskqueue_ray.core.state import State


def apply_ended(state: State, parent: Job, at: float) -> None:
    """Let a parent that ended in this event act on its children."""
    waiting = []
    for child_id in state.children.pop(parent.id, ()):
        child = state.jobs.get(child_id)
        if child is None or not isinstance(child.phase, Blocked):
            continue
        policy = child.conditions.on_parent_failure
        if parent.state is JobState.COMPLETED or policy == "continue":
            _free(state, child, child.phase, parent.id)
        elif policy == "wait" and parent.state is JobState.FAILED:
            waiting.append(child_id)  # until the parent was redriven, and completed
        else:
            state.finish(child, CANCEL_BLOCKED, Finished(JobState.CANCELLED, at, reason="parent"))
    if waiting:
        state.children[parent.id] = waiting


def _free(state: State, child: Job, phase: Blocked, parent: JobId) -> None:
    phase.parents.discard(parent)
    if phase.parents:
        return
    due = child.due if child.due > state.at else 0.0
    state.move(child, UNBLOCK_LATER if due else UNBLOCK)
    state.wait(child, due)
