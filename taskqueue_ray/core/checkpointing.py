"""Checkpoint: what a run saves for the next one, accepted only under the lease that is current."""

from taskqueue_ray.core.commands import Checkpoint
from taskqueue_ray.core.events import Checkpointed, Event
from taskqueue_ray.core.exchange import Save
from taskqueue_ray.core.model import Checkpoint as Kept
from taskqueue_ray.core.model import Job, JobId, Leased
from taskqueue_ray.core.state import State


def decide(state: State, command: Checkpoint, now: float) -> list[Event]:
    """The latest save of each run, of those that still hold their lease. The others are dropped.

    Exchanges overtake and repeat each other: one that comes after a later one changes nothing.
    """
    held = state.held.get(command.worker, {})
    latest: dict[JobId, Save] = {}
    for save in command.saves:
        job = held.get(save.id)
        if job is not None and _is_holder(job, save) and _is_news(job.checkpoint, save):
            other = latest.get(save.id)
            if other is None or other.number < save.number:
                latest[save.id] = save
    return [Checkpointed(now, command.worker, list(latest.values()))] if latest else []


def _is_holder(job: Job, save: Save) -> bool:
    phase = job.phase
    return type(phase) is Leased and phase.lease == save.lease and job.delivery == save.delivery


def _is_news(kept: Kept | None, save: Save) -> bool:
    return kept is None or kept.delivery != save.delivery or kept.number < save.number


def apply(state: State, event: Checkpointed) -> None:
    """Keep them with their jobs, until these have ended."""
    for save in event.saves:
        kept = Kept(event.at, save.delivery, save.number, save.sealed)
        state.jobs[save.id].checkpoint = kept
