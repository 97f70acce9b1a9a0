"""From what the clauses said to a rule."""

from typing import Literal

import msgspec

from taskqueue_ray.core.calendars import simplest
from taskqueue_ray.core.due import next_after
from taskqueue_ray.core.phrases import questions
from taskqueue_ray.core.phrases.asked import Asked
from taskqueue_ray.core.phrases.intervals import calendar, in_seconds, interval
from taskqueue_ray.core.phrases.moments import once
from taskqueue_ray.core.rules import Calendar, Cron, Every, Rule
from taskqueue_ray.core.zones import local

_NAMED_ALONE = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
"""As cron means them."""
_MOST: dict[str, int] = {"day": 1000, "week": 500, "month": 120}
_SHORT = ("second", "minute", "hour")

_Counted = Literal["day", "week", "month", "year"]


def assemble(asked: Asked) -> Rule:
    """The rule that was asked for. Raises `Unclear`."""
    draft = asked.draft
    if draft.says_once():
        return once(asked)
    if not draft.recurs:
        questions.does_not_recur(asked)
    if draft.count:
        questions.see_count(asked)
    narrowed = draft.has_days() or draft.has_clock() or draft.anchor
    if draft.named in _NAMED_ALONE and not narrowed:
        return Cron(_NAMED_ALONE[draft.named])
    if len(draft.amounts) > 1 or (draft.amounts and draft.amounts[0][1] in _SHORT):
        return interval(asked)
    return _by_days(asked)


def _by_days(asked: Asked) -> Rule:
    draft = asked.draft
    if draft.window:
        asked.refuse("say how often in the window", "every 15 minutes between 09:00 and 17:00")
    if draft.past_hour:
        asked.refuse("say the hour", "every hour at :15", "every day at 09:15")
    number, unit = _step(asked)
    if draft.has_days():
        questions.see_days(asked, number, unit)
        return _stepped(asked, calendar(draft, _times(asked)), number, unit)
    if not draft.times:
        return _from_now(asked, number, unit)
    if unit != "day":
        questions.which_day(asked, number, unit)
    return _stepped(asked, calendar(draft, _times(asked)), number, unit)


def _times(asked: Asked) -> tuple[int, ...]:
    return tuple(sorted(asked.draft.times)) or (0,)


def _step(asked: Asked) -> tuple[int, _Counted]:
    draft = asked.draft
    number, unit = draft.amounts[0] if draft.amounts else (1.0, "day")
    in_real_time = unit in ("day", "week") and not (draft.has_days() or draft.times)
    if number != int(number) and not in_real_time:
        asked.refuse(f"only whole {unit}s can be counted", f"every {int(number) + 1} {unit}s")
    match unit:
        case "day" | "week" | "month" | "year":
            return int(number), unit
        case _:
            raise AssertionError(unit)


def _from_now(asked: Asked, number: int, unit: _Counted) -> Rule:
    """An interval, or months after now at this time of the day."""
    if asked.draft.anchor:
        asked.refuse("say the time of the day", "every 2 days at 09:00 from 2027-01-31")
    if unit in ("day", "week"):
        return Every(in_seconds(asked, asked.draft.amounts))
    wall = local(asked.tz, asked.now)
    rule = Calendar(
        times=(wall.hour * 3600 + wall.minute * 60 + wall.second,),
        month_days=(wall.day,),
        months=(wall.month,) if unit == "year" and number == 1 else (),
        anchor=asked.today.toordinal(),
    )
    return _stepped(asked, rule, number, unit)


def _stepped(asked: Asked, rule: Calendar, number: int, unit: _Counted) -> Rule:
    """Every so many of the unit, from the day of the first time that fits."""
    if number == 1:
        if asked.draft.anchor:
            asked.refuse(
                "only what is counted has a beginning", "every 2 days at 09:00 from 2027-01-31"
            )
        return simplest(rule)
    if unit == "year":
        unit, number = "month", number * 12
    if number > _MOST[unit]:
        asked.refuse(f"{_MOST[unit]} {unit}s is the most", f"every {_MOST[unit]} {unit}s")
    return msgspec.structs.replace(
        rule, step=number, unit=unit, anchor=rule.anchor or _anchor(asked, rule)
    )


def _anchor(asked: Asked, rule: Calendar) -> int:
    if asked.draft.anchor:
        return asked.draft.anchor.toordinal()
    first = next_after(rule, asked.tz, asked.now)
    return (local(asked.tz, first).date() if first else asked.today).toordinal()
