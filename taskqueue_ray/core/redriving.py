"""Redrive: dead letters go back in line, as they were or with other options."""

from collections import Counter

import msgspec

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.changes import UNCHANGED
from taskqueue_ray.core.commands import Redrive
from taskqueue_ray.core.depth import check_room
from taskqueue_ray.core.events import Event, Redriven
from taskqueue_ray.core.lifecycle import REDRIVE, Verb, can
from taskqueue_ray.core.model import Job, JobId, Options
from taskqueue_ray.core.state import State


def decide(
    state: State, command: Redrive, now: float, bounds: Bounds
) -> tuple[list[Event], list[JobId]]:
    """The dead letters among the named jobs, less those whose unique key another has now.

    Jobs that are to go to another queue arrive there as new ones do: raises `QueueFull`, and then
    moves none, when not all of them fit. A job's own queue takes it back at any depth.
    """
    taken: set[str] = set()
    ids = []
    for job_id in dict.fromkeys(command.ids):
        job = state.jobs.get(job_id)
        if job is None or not can(job.state, Verb.REDRIVE):
            continue
        if (unique := job.conditions.unique) is not None:
            if unique.key in taken or state.holder(unique.key, now) not in (None, job_id):
                continue
            taken.add(unique.key)
        ids.append(job_id)
    if isinstance(queue := command.changes.queue, str):
        arriving = sum(state.jobs[one].options.queue != queue for one in ids)
        check_room(state, {queue: arriving} if arriving else {}, Counter(), bounds.max_depth)
    return ([Redriven(now, ids, command.changes)] if ids else []), ids


def apply(state: State, event: Redriven) -> None:
    """A new generation: attempts and losses begin again, the history of errors stays."""
    changed: dict[Options, Options] = {}
    for job_id in event.ids:
        job = state.jobs[job_id]
        state.total(job.options.queue).leave(job.state)
        if event.changes != UNCHANGED:
            options = changed.get(job.options)
            if options is None:
                options = state.intern(event.changes.made_to(job.options))
                changed[job.options] = options
            job = _change(state, job, options)
        job.generation += 1
        job.attempts = job.losses = 0
        state.total(job.options.queue).redriven += 1
        state.move(job, REDRIVE)
        state.wait(job, 0.0)


def _change(state: State, job: Job, options: Options) -> Job:
    """The dead letter with other options, as a record of its own.

    Lines and heaps may still hold entries of the old record, for the old queue and priority. It
    stays a dead letter, so that none of them ever stands for the job again.
    """
    if options.queue != job.options.queue:
        state.total(job.options.queue).counts[job.state] -= 1
        state.total(options.queue).counts[job.state] += 1
    other = state.jobs[job.id] = msgspec.structs.replace(job, options=options)
    return other
