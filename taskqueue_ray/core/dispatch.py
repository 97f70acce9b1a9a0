"""Which concern decides a command, and which applies an event.

`decide` changes nothing and may refuse with a `TaskQueueError`; `apply` never refuses and is the
only way in which state changes. Live operation, recovery, compaction and the simulator all run
this same `apply`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from taskqueue_ray.core import (
    cancelling,
    checkpointing,
    commands,
    controls,
    dependencies,
    enqueueing,
    events,
    expiring,
    leasing,
    limits,
    promoting,
    redriving,
    settling,
    uniqueness,
    upkeep,
)
from taskqueue_ray.core.bounds import DEFAULT_BOUNDS, Bounds
from taskqueue_ray.core.model import Options
from taskqueue_ray.core.state import State


class Decision(NamedTuple):
    """What is to happen, and the answer to whoever asked."""

    events: list[events.Event]
    reply: Any = None


_Decide = Callable[[State, Any, float, Bounds], Decision]
_Apply = Callable[[State, Any], None]
_PROBE = Options(queue="default", type="probe")


def _enqueue(state: State, command: commands.Enqueue, now: float, bounds: Bounds) -> Decision:
    enqueueing.check(command.batch, bounds)
    known = enqueueing.find_known(state, command)
    conflicts = uniqueness.find_conflicts(state, command.batch, known, now)
    if state.limits:
        limits.check_units(state, command.batch, known)
    return Decision(*enqueueing.decide(state, command, now, bounds, known, conflicts))


def _enqueued(state: State, event: events.Enqueued) -> None:
    for job in enqueueing.apply(state, event):
        uniqueness.apply_waiting(state, job, event.at)


def _redrive(state: State, command: commands.Redrive, now: float, bounds: Bounds) -> Decision:
    enqueueing.check_options(command.changes.made_to(_PROBE))
    return Decision(*redriving.decide(state, command, now, bounds))


def _redriven(state: State, event: events.Redriven) -> None:
    redriving.apply(state, event)
    for job_id in event.ids:
        uniqueness.apply_waiting(state, state.jobs[job_id], event.at)


def _folded(state: State, event: events.Folded) -> None:
    upkeep.apply_folded(state, event)
    uniqueness.apply_folded(state, event.forget_before)


DECIDERS: Mapping[type, _Decide] = {
    commands.Enqueue: _enqueue,
    commands.Settle: lambda s, c, now, _: Decision(*settling.decide(s, c, now)),
    commands.Lease: lambda s, c, now, _: Decision(leasing.decide_lease(s, c, now)),
    commands.Start: lambda s, c, now, _: Decision(leasing.decide_start(s, c, now)),
    commands.Checkpoint: lambda s, c, now, _: Decision(checkpointing.decide(s, c, now)),
    commands.Release: lambda s, c, now, _: Decision(leasing.decide_release(s, c, now)),
    commands.Lose: lambda s, c, now, bounds: Decision(leasing.decide_lose(s, c, now, bounds)),
    commands.Promote: lambda s, _c, now, _b: Decision(
        expiring.decide(s, now) + promoting.decide(s, now)
    ),
    commands.Cancel: lambda s, c, now, _: Decision(*cancelling.decide(s, c, now)),
    commands.Redrive: _redrive,
    commands.Purge: lambda s, c, now, _: Decision(*upkeep.decide_purge(s, c, now)),
    commands.Retire: lambda s, _, now, bounds: Decision(*upkeep.decide_retire(s, now, bounds)),
    commands.Pause: lambda s, c, now, _: Decision(*controls.decide_pause(s, c, now)),
    commands.Resume: lambda s, c, now, _: Decision(*controls.decide_resume(s, c, now)),
    commands.Configure: lambda s, c, now, _: Decision(*controls.decide_configure(s, c, now)),
    commands.StoreCode: lambda s, c, _n, _b: Decision(upkeep.decide_store_code(s, c)),
    commands.Fold: lambda s, c, now, bounds: Decision(upkeep.decide_fold(s, c, now, bounds)),
    commands.SetLimit: lambda s, c, now, _: Decision(*limits.decide_set(s, c, now)),
    commands.DeleteLimit: lambda s, c, now, _: Decision(*limits.decide_delete(s, c, now)),
    commands.Throttle: lambda s, c, now, _: Decision(*limits.decide_throttle(s, c, now)),
    commands.Acquire: lambda s, c, now, _: Decision(*limits.decide_acquire(s, c, now)),
}
"""Which concern decides a command."""

APPLIERS: Mapping[type, _Apply] = {
    events.Enqueued: _enqueued,
    events.Leased: leasing.apply_leased,
    events.Started: leasing.apply_started,
    events.Checkpointed: checkpointing.apply,
    events.Settled: settling.apply,
    events.Released: leasing.apply_released,
    events.Lost: leasing.apply_lost,
    events.Promoted: promoting.apply,
    events.Cancelled: cancelling.apply,
    events.Expired: expiring.apply,
    events.Redriven: _redriven,
    events.Purged: upkeep.apply_purged,
    events.Paused: controls.apply_paused,
    events.Resumed: controls.apply_resumed,
    events.Configured: controls.apply_configured,
    events.CodeStored: upkeep.apply_code_stored,
    events.Marked: upkeep.apply_marked,
    events.Folded: _folded,
    events.Received: upkeep.apply_received,
    events.Opened: upkeep.apply_opened,
    events.LimitSet: limits.apply_set,
    events.LimitDeleted: limits.apply_deleted,
    events.Throttled: limits.apply_throttled,
    events.Permitted: limits.apply_permitted,
}
"""Which concern makes an event a fact."""


def decide(
    state: State, command: commands.Command, now: float, bounds: Bounds = DEFAULT_BOUNDS
) -> Decision:
    """What follows from a command in this state. Raises a `TaskQueueError` to refuse it."""
    return DECIDERS[type(command)](state, command, now, bounds)


def apply(state: State, event: events.Event) -> None:
    """Make the event a fact."""
    at = time_of(event)
    state.at = max(state.at, at)
    APPLIERS[type(event)](state, event)
    while state.ended:
        job = state.ended.pop()
        uniqueness.apply_ended(state, job)
        state.ready.leave(job)
        dependencies.apply_ended(state, job, state.at)


def time_of(event: events.Event) -> float:
    """When the event happened; 0 for those that carry no time."""
    if isinstance(event, events.Promoted):
        return event.until
    return getattr(event, "at", 0.0)
