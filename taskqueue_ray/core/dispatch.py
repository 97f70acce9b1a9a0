"""Which concern decides a command, and which applies an event.

`decide` changes nothing and may refuse with a `TaskQueueError`; `apply` never refuses and is the
only way in which state changes. Live operation, recovery, compaction and the simulator all run
this same `apply`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from taskqueue_ray.core import (
    alerting,
    cancelling,
    checkpointing,
    commands,
    controls,
    dependencies,
    enqueueing,
    events,
    expiring,
    firing,
    leasing,
    limits,
    nodes,
    placement,
    pools,
    promoting,
    quotas,
    redriving,
    scheduling,
    settling,
    uniqueness,
    upkeep,
)
from taskqueue_ray.core.blobs import read_reference
from taskqueue_ray.core.bounds import DEFAULT_BOUNDS, Bounds
from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.exchange import Batch
from taskqueue_ray.core.model import JobId, JobSpec, Options
from taskqueue_ray.core.schedule import MOST_BYTES, Template
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
    if state.limits.rules:
        limits.check_units(state, command.batch, known)
    return Decision(*enqueueing.decide(state, command, now, bounds, known, conflicts))


def _enqueued(state: State, event: events.Enqueued) -> None:
    for job in enqueueing.apply(state, event):
        uniqueness.apply_waiting(state, job, event.at)


def _put_schedule(
    state: State, command: commands.PutSchedule, now: float, _bounds: Bounds
) -> Decision:
    _check_template(command.template)
    return Decision(*scheduling.decide_put(state, command, now))


def _revise_schedule(
    state: State, command: commands.ReviseSchedule, now: float, _bounds: Bounds
) -> Decision:
    if isinstance(command.template, Template):
        _check_template(command.template)
    return Decision(*scheduling.decide_revise(state, command, now))


def _check_template(template: Template) -> None:
    """What holds for a job that is enqueued holds for one that will be.

    Its payload is in the journal, since a blob beside that ends with its one job.
    """
    if read_reference(template.payload) is not None or len(template.payload) > MOST_BYTES:
        raise InvalidRequest(f"the payload of a schedule is above {MOST_BYTES:,} bytes")
    spec = JobSpec(JobId(template.origin), 0, template.payload, 0.0, (), template.conditions)
    enqueueing.check(Batch(b"", [template.options], [spec]), DEFAULT_BOUNDS)


def _redrive(state: State, command: commands.Redrive, now: float, bounds: Bounds) -> Decision:
    enqueueing.check_options(command.changes.made_to(_PROBE))
    return Decision(*redriving.decide(state, command, now, bounds))


def _redriven(state: State, event: events.Redriven) -> None:
    redriving.apply(state, event)
    for job_id in event.ids:
        uniqueness.apply_waiting(state, state.jobs[job_id], event.at)
        state.follow(state.jobs[job_id])


def _fired(state: State, event: events.Fired) -> None:
    enqueued = firing.apply(state, event)
    if enqueued is not None:
        _made(state, enqueued)


def _made(state: State, event: events.Enqueued) -> None:
    _enqueued(state, event)
    for spec in event.batch.jobs:
        if (job := state.jobs.get(spec.id)) is not None:
            state.follow(job)


def _set_alert(state: State, command: commands.SetAlert, now: float, _: Bounds) -> Decision:
    for sink in command.rule.sinks:
        if sink.options is not None:
            enqueueing.check_options(sink.options)
    return Decision(*alerting.decide_set(state, command, now))


def _folded(state: State, event: events.Folded) -> None:
    upkeep.apply_folded(state, event)
    uniqueness.apply_folded(state, event.forget_before)
    scheduling.apply_folded(state, event.forget_before)


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
    commands.SetPool: lambda s, c, now, _: Decision(*pools.decide_set(s, c, now)),
    commands.DeletePool: lambda s, c, now, _: Decision(*pools.decide_delete(s, c, now)),
    commands.PutSchedule: _put_schedule,
    commands.ReviseSchedule: _revise_schedule,
    commands.DropSchedule: lambda s, c, now, _: Decision(*scheduling.decide_drop(s, c, now)),
    commands.Fire: lambda s, _, now, bounds: Decision(*firing.decide(s, now, bounds)),
    commands.RunSchedule: lambda s, c, now, b: Decision(*firing.decide_run(s, c, now, b)),
    commands.Backfill: lambda s, c, now, b: Decision(*firing.decide_backfill(s, c, now, b)),
    commands.SetQuota: lambda s, c, now, _: Decision(*quotas.decide_set(s, c, now)),
    commands.DeleteQuota: lambda s, c, now, _: Decision(*quotas.decide_delete(s, c, now)),
    commands.RegisterNode: lambda s, c, now, _: Decision(*nodes.decide_register(s, c, now)),
    commands.ForgetNode: lambda s, c, now, _: Decision(*nodes.decide_forget(s, c, now)),
    commands.SetNodeMode: lambda s, c, now, _: Decision(*nodes.decide_mode(s, c, now)),
    commands.SetStrategy: lambda s, c, now, _: Decision(*placement.decide(s, c, now)),
    commands.SetAlert: _set_alert,
    commands.DeleteAlert: lambda s, c, now, _: Decision(*alerting.decide_delete(s, c, now)),
    commands.MuteAlert: lambda s, c, now, _: Decision(*alerting.decide_mute(s, c, now)),
    commands.TestAlert: lambda s, c, now, _: Decision(*alerting.decide_test(s, c, now)),
    commands.JudgeAlerts: lambda s, c, now, _: Decision(*alerting.decide_judge(s, c, now)),
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
    events.PoolSet: pools.apply_set,
    events.PoolDeleted: pools.apply_deleted,
    events.SchedulePut: scheduling.apply_put,
    events.ScheduleDropped: scheduling.apply_dropped,
    events.Fired: _fired,
    events.Ran: lambda s, e: _made(s, firing.apply_ran(s, e)),
    events.QuotaSet: quotas.apply_set,
    events.QuotaDeleted: quotas.apply_deleted,
    events.NodeRegistered: nodes.apply_registered,
    events.NodeForgotten: nodes.apply_forgotten,
    events.NodeConfigured: nodes.apply_configured,
    events.StrategySet: placement.apply,
    events.AlertRuleSet: alerting.apply_set,
    events.AlertRuleDeleted: alerting.apply_deleted,
    events.AlertMuted: alerting.apply_muted,
    events.AlertChanged: alerting.apply_changed,
    events.AlertDelivered: alerting.apply_delivered,
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
        firing.apply_ended(state, job)
        state.ready.leave(job)
        dependencies.apply_ended(state, job, state.at)


def time_of(event: events.Event) -> float:
    """When the event happened; 0 for those that carry no time."""
    if isinstance(event, events.Promoted):
        return event.until
    return getattr(event, "at", 0.0)
