"""Expire: jobs that were not started in time end as expired, and are not handed out."""

from taskqueue_ray.core.events import Event, Expired
from taskqueue_ray.core.expiries import may_expire
from taskqueue_ray.core.lifecycle import JobState, Verb, find_move
from taskqueue_ray.core.model import Finished, Job
from taskqueue_ray.core.state import State

PORTION = 5_000
"""Jobs that expire in one step, about, so that a million hold nothing up."""


def decide(state: State, now: float) -> list[Event]:
    """One event for what has waited too long."""
    ids = state.expiring.overdue(now, PORTION) if state.expiring.due(now) else []
    return [Expired(now, ids)] if ids else []


def apply(state: State, event: Expired) -> None:
    """End them."""
    ended: list[Job] = []
    for job_id in event.ids:
        # It may be gone with a parent that is in this list before it.
        job = state.jobs.get(job_id)
        if job is not None and may_expire(job):
            move = find_move(job.state, Verb.EXPIRE, JobState.EXPIRED)
            state.finish(job, move, Finished(JobState.EXPIRED, event.at))
            ended.append(job)
    state.ready.trim(ended)
    state.delayed.left(len(ended))
