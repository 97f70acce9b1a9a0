"""What the end of a job means for the jobs that depend on it.

A parent that completed frees its children; one that ended in any other way cancels them, and in
turn what depends on those. This follows from the event that ended the parent, so it needs no
event of its own.
"""

from taskqueue_ray.core.lifecycle import CANCEL_BLOCKED, UNBLOCK, UNBLOCK_LATER, JobState
from taskqueue_ray.core.model import Blocked, Finished, Job
from taskqueue_ray.core.state import State


def apply_ended(state: State, at: float) -> None:
    """Let the parents that ended in this event act on their children, and so on down."""
    while state.ended:
        parent = state.ended.pop()
        for child_id in state.children.pop(parent.id, ()):
            child = state.jobs.get(child_id)
            if child is None or not isinstance(child.phase, Blocked):
                continue
            if parent.state is JobState.COMPLETED:
                _free(state, child, child.phase)
            else:
                state.finish(
                    child, CANCEL_BLOCKED, Finished(JobState.CANCELLED, at, reason="parent")
                )


def _free(state: State, child: Job, phase: Blocked) -> None:
    if phase.missing > 1:
        child.phase = Blocked(phase.missing - 1)
        return
    due = child.due if child.due > state.at else 0.0
    state.move(child, UNBLOCK_LATER if due else UNBLOCK)
    state.wait(child, due)
