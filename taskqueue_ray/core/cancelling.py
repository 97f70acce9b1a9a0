"""Cancel: waiting jobs end at once; running ones get a flag that their worker delivers."""

from taskqueue_ray.core.commands import Cancel
from taskqueue_ray.core.events import Cancelled, Event
from taskqueue_ray.core.lifecycle import JobState, Verb, can, find_move
from taskqueue_ray.core.model import Finished, Job, JobId, Leased
from taskqueue_ray.core.state import State


def decide(state: State, command: Cancel, now: float) -> tuple[list[Event], list[JobId]]:
    """The jobs that this cancels or asks to stop. Those that have ended are passed over."""
    waiting: list[JobId] = []
    running: list[JobId] = []
    for job_id in dict.fromkeys(command.ids):
        job = state.jobs.get(job_id)
        if job is None or not can(job.state, Verb.CANCEL):
            continue
        if job.state is JobState.PROCESSING:
            if not job.cancelling:
                running.append(job_id)
        else:
            waiting.append(job_id)
    moved = waiting + running
    return ([Cancelled(now, waiting, running, command.reason)] if moved else []), moved


def apply(state: State, event: Cancelled) -> None:
    """End the waiting jobs; flag the running ones."""
    ended: list[Job] = []
    for job_id in event.ids:
        # A child that was listed beside its parent may be gone with it.
        job = state.jobs.get(job_id)
        if job is not None and not job.state.final:
            move = find_move(job.state, Verb.CANCEL, JobState.CANCELLED)
            state.finish(job, move, Finished(JobState.CANCELLED, event.at, reason=event.reason))
            ended.append(job)
    state.ready.trim(ended)
    state.delayed.left(len(ended))
    for job_id in event.flagged:
        job = state.jobs[job_id]
        if isinstance(job.phase, Leased):
            job.cancelling = True
