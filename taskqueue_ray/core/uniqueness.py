"""Claim keys: one job at a time holds a key; what becomes of another is said by that other.

A key is held from the moment in which its job is stored, so two that come at once cannot both have
it. It is let go when its job has ended, or, with a window, when the window is over, whatever became
of the job.
"""

from taskqueue_ray.core.errors import DuplicateJob
from taskqueue_ray.core.exchange import Batch
from taskqueue_ray.core.expiries import WAITING
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.model import (
    NO_CONFLICTS,
    PLAIN,
    Claim,
    Conflicts,
    Hold,
    Job,
    JobId,
    JobSpec,
)
from taskqueue_ray.core.state import State


def find_conflicts(state: State, batch: Batch, known: list[int], now: float) -> Conflicts:
    """The jobs of a batch whose keys are taken, by earlier ones of the batch too.

    Raises `DuplicateJob` when one of them asked for that.
    """
    repeats = set(known)
    wishes = []
    for index in batch.special:
        spec = batch.jobs[index]
        unique = spec.conditions.unique if spec.conditions is not None else None
        if unique is not None and index not in repeats:
            wishes.append((index, spec, unique))
    return _resolve(state, batch, wishes, now) if wishes else NO_CONFLICTS


def _resolve(
    state: State, batch: Batch, wishes: list[tuple[int, JobSpec, Claim]], now: float
) -> Conflicts:
    found = Conflicts({}, [], [])
    arriving: dict[str, int] = {}
    superseded: dict[JobId, JobId] = {}
    for index, spec, unique in wishes:
        if (earlier := arriving.get(unique.key)) is not None:
            holder: JobId | None = batch.jobs[earlier].id
        else:
            holder = state.holder(unique.key, now)
        if holder is None:
            arriving[unique.key] = index
        elif unique.on_conflict == "raise":
            raise DuplicateJob(unique.key, to_text(holder))
        elif unique.on_conflict == "drop":
            found.dropped.append(index)
        elif unique.on_conflict == "replace" and earlier is not None:
            found.existing[earlier] = superseded[holder] = spec.id
            arriving[unique.key] = index
        elif unique.on_conflict == "replace" and state.state_of(holder) in WAITING:
            found.replaced.append(holder)
            arriving[unique.key] = index
        else:
            found.existing[index] = holder
    for index, holder in found.existing.items():
        found.existing[index] = _latest(superseded, holder)
    return found


def _latest(superseded: dict[JobId, JobId], holder: JobId) -> JobId:
    """Who has the key at last, when jobs of one batch replace each other."""
    while holder in superseded:
        holder = superseded[holder]
    return holder


def apply_waiting(state: State, job: Job, at: float) -> None:
    """A job was stored, or redriven: it holds its key."""
    unique = job.conditions.unique
    if unique is not None:
        state.unique[unique.key] = Hold(job.id, at + unique.within if unique.within else 0.0)


def apply_ended(state: State, job: Job) -> None:
    """A job has ended: it lets go of a key that it held for as long as it lived."""
    unique = job.conditions.unique if job.conditions is not PLAIN else None
    if unique is None:
        return
    hold = state.unique.get(unique.key)
    if hold is not None and hold.job == job.id and not hold.until:
        del state.unique[unique.key]


def apply_folded(state: State, before: float) -> None:
    """Forget keys whose windows were over before this time."""
    for key in [key for key, hold in state.unique.items() if 0 < hold.until < before]:
        del state.unique[key]
