"""Expire: jobs that were not started in time end as expired, and are not handed out."""

from heapq import heappop
from itertools import islice

from taskqueue_ray.core.events import Event, Expired
from taskqueue_ray.core.lanes import in_order
from taskqueue_ray.core.lifecycle import JobState, Verb, find_move
from taskqueue_ray.core.model import Finished, Job, JobId
from taskqueue_ray.core.state import State, may_expire

PORTION = 5_000
"""Jobs that expire in one step, about, so that a million hold nothing up."""


def decide(state: State, now: float) -> list[Event]:
    """One event for what has waited too long."""
    if not state.overdue(now):
        return []
    ids: dict[JobId, None] = {}
    for expires, _, job in islice(in_order(state.expiring), PORTION):
        if expires > now:
            break
        if may_expire(job):
            ids[job.id] = None
    return [Expired(now, list(ids))] if ids else []


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
    state.tidy_delayed()
    while state.expiring and not may_expire(state.expiring[0][2]):
        heappop(state.expiring)
