"""Schedules come, change and go."""

from math import floor, isfinite

from msgspec import UNSET
from msgspec.structs import replace

from taskqueue_ray.core.commands import DropSchedule, PutSchedule, ReviseSchedule
from taskqueue_ray.core.duetimes import ON_TIME, next_due
from taskqueue_ray.core.errors import (
    InvalidOption,
    InvalidRequest,
    ScheduleChanged,
    ScheduleExists,
    ScheduleNotFound,
    TaskQueueError,
)
from taskqueue_ray.core.events import Event, ScheduleDropped, SchedulePut
from taskqueue_ray.core.exchange import SchedulePage
from taskqueue_ray.core.model import LATEST, JobId
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.rules import Calendar, Every, Once, Rule
from taskqueue_ray.core.schedule import Plan, Schedule, ScheduleView, Template
from taskqueue_ray.core.state import State
from taskqueue_ray.core.zones import zone

MOST = 100_000
"""Schedules of one queue."""

PAGE = 1_000
SHORTEST = 1.0
"""Seconds between two times of an interval."""

Decided = tuple[list[Event], ScheduleView]


def decide_put(state: State, command: PutSchedule, now: float) -> Decided:
    """Make a schedule. The same one again is no news; another one stays, unless it is replaced."""
    check_name("id", command.id)
    plan, template = command.plan, command.template
    check(plan, template)
    known = state.schedules.get(command.id)
    if known is not None and not known.ended_at:
        plan = _as_said_before(known.plan, plan)
        differs = _differences(known, plan, template)
        if not differs:
            return [], view(state, known, now)
        if not command.replace and differs != [_KEY]:
            raise ScheduleExists(command.id, ", ".join(one for one in differs if one != _KEY))
        return _changed(state, known, plan, template, now)
    if len(state.schedules) >= MOST:
        raise InvalidRequest(f"there are {MOST:,} schedules already: delete some")
    rule = _anchored(plan.rule, now)
    cursor = _start(rule, now)
    due = first_due(rule, plan, cursor)
    made = Schedule(
        command.id, JobId(template.origin), plan, rule, template, now, now, cursor, due, due
    )
    return _put(state, made, now)


def decide_revise(state: State, command: ReviseSchedule, now: float) -> Decided:
    """Change a schedule. A time that comes out of a new rule is after now."""
    known = find(state, command.id)
    plan = known.plan if command.plan is UNSET else command.plan
    template = known.template if command.template is UNSET else command.template
    check(plan, template)
    if command.paused is not UNSET:
        known = _paused(known, now) if command.paused else _resumed(known, now)
    elif not _differences(known, plan, template):
        return [], view(state, known, now)
    elif command.seen and command.seen != known.updated_at:
        raise ScheduleChanged(command.id)
    if known is state.schedules[command.id] and command.paused is not UNSET:
        return [], view(state, known, now)
    return _changed(state, known, plan, template, now)


def decide_drop(state: State, command: DropSchedule, now: float) -> tuple[list[Event], bool]:
    """Let a schedule be no more; False when there is none."""
    if command.id not in state.schedules:
        return [], False
    return [ScheduleDropped(now, command.id)], True


def apply_put(state: State, event: SchedulePut) -> None:
    """This is the schedule from now on."""
    # The event is written down later than this: the state has a schedule of its own.
    made = state.schedules[event.schedule.id] = replace(event.schedule)
    state.keys.add(made.template.options.key)
    state.wake(made)


def apply_dropped(state: State, event: ScheduleDropped) -> None:
    """There is none of that id any more."""
    state.schedules.pop(event.schedule, None)


def apply_folded(state: State, before: float) -> None:
    """Forget schedules of which nothing has come since this time, and nothing will."""
    for name, one in list(state.schedules.items()):
        if 0 < one.ended_at < before and name not in state.runs:
            del state.schedules[name]


def view(state: State, schedule: Schedule, now: float, *, whole: bool = False) -> ScheduleView:
    """A schedule as clients see it; with its payload if it is to be `whole`."""
    shown = schedule
    if not whole:
        shown = replace(schedule, template=replace(schedule.template, payload=b""))
    return ScheduleView(shown, len(state.runs.get(schedule.id, ())), now)


def page(state: State, after: str, limit: int, now: float) -> SchedulePage:
    """Schedules by their ids, those after one of them."""
    names = sorted(name for name in state.schedules if name > after)
    most = max(1, min(limit, PAGE))
    return SchedulePage(
        [view(state, state.schedules[name], now) for name in names[:most]], len(names) > most
    )


def find(state: State, schedule: str) -> Schedule:
    """The schedule of that id, or `ScheduleNotFound`."""
    found = state.schedules.get(schedule)
    if found is None:
        raise ScheduleNotFound(schedule)
    return found


def first_due(rule: Rule, plan: Plan, after: float) -> float:
    """The next time, or `InvalidOption` when there is none, or the rule is none."""
    try:
        due = next_due(rule, plan, after)
    except TaskQueueError:
        raise
    except Exception as error:
        # A client's rule, which may be anything: what the parser refuses never comes here.
        raise InvalidRequest(f"the rule of the schedule makes no sense: {error!r}"[:300]) from None
    if due:
        return due
    if plan.until and next_due(rule, replace(plan, until=0.0), after):
        raise InvalidOption("until", f"{plan.until:.0f}", "a time after the first one that is due")
    raise InvalidOption("when", ascii(plan.words)[:80], "a time that is still to come")


def check(plan: Plan, template: Template) -> None:
    """Refuse what no schedule can have: a client's word is not enough."""
    zone(plan.zone)
    times = (plan.window, plan.jitter, plan.until, template.expires)
    if any(not 0 <= one < LATEST for one in times) or plan.max_runs < 0:
        raise InvalidRequest("window, jitter, until and max_runs must be from 0 and finite")
    if max(len(plan.when), len(plan.words), len(plan.said)) > 10_000:
        raise InvalidRequest("the words of a schedule are too long")
    if len(template.origin) != 16:
        raise InvalidRequest("the origin of a schedule has a malformed id")
    match plan.rule:
        case Every(seconds=seconds, anchor=anchor):
            if not isfinite(anchor) or not SHORTEST <= seconds < LATEST:
                raise InvalidOption("when", f"every {seconds:g} s", "intervals from one second on")
        case Once(at=at):
            if not 0 <= at < LATEST:
                raise InvalidOption("when", f"{at:g}", "a time of this age")
        case _:
            pass
    conditions = template.conditions
    if conditions is not None and (
        conditions.fired or conditions.inputs or conditions.before or conditions.workflow
    ):
        raise InvalidRequest("the job of a schedule cannot depend on others, or belong to them")


def _put(state: State, made: Schedule, now: float) -> Decided:
    return [SchedulePut(now, made)], view(state, made, now)


def _changed(state: State, known: Schedule, plan: Plan, template: Template, now: float) -> Decided:
    """Another rule begins now. With the same one, what was dealt with stays so."""
    made = replace(known, plan=plan, template=template, updated_at=max(now, known.updated_at))
    if _unanchored(plan.rule) != _unanchored(known.plan.rule) or plan.zone != known.plan.zone:
        made.rule = _anchored(plan.rule, now)
        made.cursor = max(_start(made.rule, now), known.cursor)
        made.buffered = 0.0
    elif plan.until == known.plan.until and plan.max_runs == known.plan.max_runs:
        return _put(state, made, now)
    made.ended_at = 0.0
    made.due = made.wake = first_due(made.rule, plan, made.cursor)
    if plan.max_runs and made.fired >= plan.max_runs:
        raise InvalidOption("max_runs", str(plan.max_runs), f"more than the {made.fired} it had")
    return _put(state, made, now)


def _paused(known: Schedule, now: float) -> Schedule:
    if known.paused_at:
        return known
    return replace(known, paused_at=now, buffered=0.0, updated_at=max(now, known.updated_at))


def _resumed(known: Schedule, now: float) -> Schedule:
    """What was due during the pause is dealt with: nothing of it is made up for."""
    if not known.paused_at:
        return known
    made = replace(known, paused_at=0.0, updated_at=max(now, known.updated_at))
    if known.due and known.due <= now:
        made.cursor = max(now, known.cursor)
        made.due = made.wake = next_due(known.rule, known.plan, made.cursor)
        if not made.due:
            made.ended_at = now
    return made


_KEY = "the key of its payload"


def _differences(known: Schedule, plan: Plan, template: Template) -> list[str]:
    """In what two schedules are not the same, in words."""
    had = known.template
    differs = [
        name.replace("zone", "tz")
        for name in ("zone", "overlap", "catch_up", "window", "jitter", "until", "max_runs")
        if getattr(known.plan, name) != getattr(plan, name)
    ]
    if _unanchored(known.plan.rule) != _unanchored(plan.rule):
        differs.insert(0, "when")
    if had.options.key != template.options.key:
        # The same arguments have another fingerprint under another key: nobody can tell.
        differs.append(_KEY)
        template = replace(
            template,
            options=replace(template.options, key=had.options.key),
            fingerprint=had.fingerprint,
        )
    if had.fingerprint != template.fingerprint:
        differs.append("its arguments")
    if not had.is_like(replace(template, fingerprint=had.fingerprint)):
        differs.append("the job or its options")
    return differs


def _anchored(rule: Rule, now: float) -> Rule:
    """Intervals count from the start of their schedule, to the millisecond: times are shown."""
    if isinstance(rule, Every) and not rule.anchor:
        return replace(rule, anchor=floor(now * 1000) / 1000)
    return rule


def _unanchored(rule: Rule) -> Rule:
    """The rule without its beginning: the same words say the same thing on another day."""
    return replace(rule, anchor=0) if isinstance(rule, Every | Calendar) else rule


def _as_said_before(known: Plan, plan: Plan) -> Plan:
    """The plan, with the rule that the same words gave when they were said first.

    "Every month" takes day and time from the moment of saying it: a program that says so at each
    of its starts means one schedule all the same. "Tomorrow" is meant anew each time.
    """
    alike = bool(plan.said) and (plan.said, plan.zone) == (known.said, known.zone)
    if not alike or isinstance(plan.rule, Once) or isinstance(known.rule, Once):
        return plan
    return replace(plan, rule=known.rule, when=known.when, words=known.words)


def _start(rule: Rule, now: float) -> float:
    """From when on times count. A single one may have passed on its way here."""
    if isinstance(rule, Once) and now - ON_TIME <= rule.at <= now:
        return rule.at - 1.0
    return now
