"""Fire: what is due is enqueued, and the schedule's cursor moves on, in one event.

So a time is fired once, whoever fires it, and whatever dies: one at or before the cursor is no
news. One command deals with one time of one schedule.
"""

from msgspec.structs import replace

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Backfill, RunSchedule
from taskqueue_ray.core.depth import check_room
from taskqueue_ray.core.duetimes import Turn, next_due, turn
from taskqueue_ray.core.errors import (
    BatchTooLarge,
    DuplicateJob,
    InvalidOption,
    InvalidRequest,
    QueueFull,
)
from taskqueue_ray.core.events import Cancelled, Enqueued, Event, Fired, Ran
from taskqueue_ray.core.exchange import Batch
from taskqueue_ray.core.expiries import WAITING
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import LATEST, PLAIN, Claim, Job, JobId, JobSpec
from taskqueue_ray.core.origin import By, FiredBy
from taskqueue_ray.core.schedule import Schedule, asked_job, delay_of, job_of
from taskqueue_ray.core.scheduling import find
from taskqueue_ray.core.state import State

RETRY = 5.0
"""Seconds after which a firing that failed is tried again."""

MOST = 1_000
"""Jobs of one backfill."""

NO_JOB = JobId(b"")


def decide(state: State, now: float, bounds: Bounds) -> tuple[list[Event], Fired | None]:
    """Deal with the schedule that has been due for longest; None: none is due."""
    head = state.firing.head()
    if head is None or head[0] > now:
        return [], None
    schedule = state.schedules[head[1]]
    event = _turn(state, schedule, now)
    if event.job and state.known(event.job):
        return [replace(event, job=NO_JOB)], replace(event, job=NO_JOB)
    stopped = _make_way(state, schedule, event, now)
    if event.job:
        try:
            # Those that are to end may not be gone in time: their room does not count.
            check_room(state, {schedule.template.options.queue: 1}, {}, bounds.max_depth)
        except QueueFull as full:
            failed = Fired(
                now, schedule.id, schedule.cursor, schedule.due, now + RETRY,
                buffered=schedule.buffered, error=str(full),
            )  # fmt: skip
            return [failed], failed
    return [*stopped, event], event


def _turn(state: State, schedule: Schedule, now: float) -> Fired:
    live = bool(state.runs.get(schedule.id))
    if schedule.buffered and not live:
        due, following = schedule.buffered, schedule.due
        turned = Turn(schedule.cursor, due, 0, following)
    elif schedule.due and schedule.due <= now:
        turned = turn(schedule.rule, schedule.plan, schedule.due, now)
    else:
        turned = Turn(schedule.cursor, 0.0, 0, schedule.due)
    return _fired(state, schedule, turned, now, live=live)


def _fired(state: State, schedule: Schedule, turned: Turn, now: float, *, live: bool) -> Fired:
    """The event, by what the plan says of runs that are still there."""
    plan, due = schedule.plan, turned.due
    following = turned.following
    event = Fired(now, schedule.id, turned.cursor, following, following, missed=turned.missed)
    waiting = 0.0 if due == schedule.buffered else schedule.buffered
    if not due:
        return replace(event, buffered=waiting)
    if live and plan.overlap == "skip":
        return replace(event, skipped=1, buffered=waiting)
    if live and plan.overlap == "buffer_one":
        return replace(event, skipped=1 if waiting else 0, buffered=waiting or due)
    if _is_taken(state, schedule, now):
        return replace(event, skipped=1, buffered=waiting)
    if plan.max_runs and schedule.fired + 1 >= plan.max_runs:
        event = replace(event, following=0.0, wake=0.0)
    job = job_of(schedule, due)
    return replace(event, job=job, due=due, delay=delay_of(schedule, job), buffered=waiting)


def _is_taken(state: State, schedule: Schedule, now: float) -> bool:
    """Whether another job has the unique key, and is not to make way."""
    claim = _claim(schedule)
    holder = state.holder(claim.key, now) if claim is not None else None
    if claim is None or holder is None:
        return False
    return claim.on_conflict != "replace" or state.state_of(holder) not in WAITING


def _make_way(state: State, schedule: Schedule, event: Fired, now: float) -> list[Event]:
    """What ends for the sake of the job that is fired."""
    if not event.job:
        return []
    made: list[Event] = []
    ids = list(state.runs.get(schedule.id, ()))
    if ids and schedule.plan.overlap == "cancel_running":
        jobs = [state.jobs[one] for one in ids]
        running = [job.id for job in jobs if job.state is JobState.PROCESSING]
        waiting = [job.id for job in jobs if job.state is not JobState.PROCESSING]
        flagged = [one for one in running if not state.jobs[one].cancelling]
        if waiting or flagged:
            made.append(Cancelled(now, waiting, flagged, "overlap"))
    claim = _claim(schedule)
    holder = state.holder(claim.key, now) if claim is not None else None
    if holder is not None and not any(holder in one.ids for one in _cancelled(made)):
        made.append(Cancelled(now, [holder], [], "replaced"))
    return made


def _cancelled(events: list[Event]) -> list[Cancelled]:
    return [one for one in events if isinstance(one, Cancelled)]


def _claim(schedule: Schedule) -> Claim | None:
    conditions = schedule.template.conditions
    return None if conditions is None else conditions.unique


def decide_run(
    state: State, command: RunSchedule, now: float, bounds: Bounds
) -> tuple[list[Event], JobId]:
    """Enqueue the job now, whatever else runs, also of a schedule that is paused or has ended."""
    schedule = find(state, command.id)
    for known in state.runs.get(schedule.id, ()):
        fired = state.jobs[known].conditions.fired
        if fired is not None and known == asked_job(schedule, fired.due, command.command):
            return [], known
    job = asked_job(schedule, now, command.command)
    claim = _claim(schedule)
    holder = state.holder(claim.key, now) if claim is not None else None
    if claim is not None and holder is not None:
        raise DuplicateJob(claim.key, to_text(holder))
    check_room(state, {schedule.template.options.queue: 1}, {}, bounds.max_depth)
    return [Ran(now, schedule.id, "now", [(job, now)])], job


def decide_backfill(
    state: State, command: Backfill, now: float, bounds: Bounds
) -> tuple[list[Event], list[JobId]]:
    """Enqueue a job for each time from `start` up to `end`, whether or not it was fired then."""
    schedule = find(state, command.id)
    if not 0 <= command.start <= command.end < LATEST:
        raise InvalidOption("start", f"{command.start:g}", "a time that is not after the end")
    if command.end > now:
        raise InvalidOption("end", f"{command.end:.0f}", "a time in the past: what comes is fired")
    if _claim(schedule) is not None:
        raise InvalidRequest(
            f"the jobs of schedule {schedule.id!r} have one unique key, which one job at a time "
            "can have: it cannot be backfilled"
        )
    dues = _between(schedule, command.start, command.end)
    jobs = [(asked_job(schedule, due, command.command), due) for due in dues]
    fresh = [one for one in jobs if not state.known(one[0])]
    queue = schedule.template.options.queue
    check_room(state, {queue: len(fresh)}, {}, bounds.max_depth)
    events: list[Event] = [Ran(now, schedule.id, "backfill", fresh)] if fresh else []
    return events, [job for job, _ in jobs]


def _between(schedule: Schedule, start: float, end: float) -> list[float]:
    """The times of a range, both ends included."""
    plan = replace(schedule.plan, until=0.0)
    dues: list[float] = []
    due = next_due(schedule.rule, plan, start - 0.001)
    while due and due <= end:
        dues.append(due)
        if len(dues) > MOST:
            raise BatchTooLarge("jobs in a backfill", len(dues), MOST)
        due = next_due(schedule.rule, plan, due)
    return dues


def apply(state: State, event: Fired) -> Enqueued | None:
    """Move the cursor; what is to be enqueued with that."""
    schedule = state.schedules[event.schedule]
    schedule.cursor, schedule.due = event.cursor, event.following
    schedule.wake, schedule.buffered = event.wake, event.buffered
    schedule.skipped += event.skipped
    schedule.missed += event.missed
    if event.error:
        schedule.error, schedule.error_at = event.error, event.at
    if not event.following and not event.buffered:
        schedule.ended_at = event.at
    state.wake(schedule)
    if not event.job:
        return None
    schedule.fired += 1
    schedule.last_due, schedule.last_job = event.due, event.job
    schedule.last_fired_at = event.at
    schedule.error, schedule.error_at = "", 0.0
    return _enqueued(schedule, event.at, [(event.job, event.due)], "", event.delay)


def apply_ran(state: State, event: Ran) -> Enqueued:
    """What was asked for is enqueued; the cursor stays."""
    schedule = state.schedules[event.schedule]
    return _enqueued(schedule, event.at, event.jobs, event.by, 0.0)


def _enqueued(
    schedule: Schedule, at: float, jobs: list[tuple[JobId, float]], by: By, delay: float
) -> Enqueued:
    specs = [_spec(schedule, at, job, due, by, delay) for job, due in jobs]
    return Enqueued(at, Batch(b"", [schedule.template.options], specs))


def _spec(schedule: Schedule, at: float, job: JobId, due: float, by: By, delay: float) -> JobSpec:
    template = schedule.template
    fired = FiredBy(schedule.id, template.origin, due, schedule.plan.zone, by)
    conditions = replace(
        template.conditions or PLAIN,
        fired=fired,
        expires=at + delay + template.expires if template.expires else 0.0,
    )
    later = due + delay if due + delay > at else 0.0
    return JobSpec(job, 0, template.payload, later, (), conditions)


def apply_ended(state: State, job: Job) -> None:
    """A run has ended: one that waited for that may be fired."""
    fired = job.conditions.fired if job.conditions is not PLAIN else None
    if fired is None:
        return
    runs = state.runs.get(fired.schedule)
    if runs is None or job.id not in runs:
        return
    del runs[job.id]
    if runs:
        return
    del state.runs[fired.schedule]
    schedule = state.schedules.get(fired.schedule)
    if schedule is not None and schedule.buffered:
        schedule.wake = min(schedule.wake or state.at, state.at)
        state.wake(schedule)
