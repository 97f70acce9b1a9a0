"""From what the clauses said to one moment."""

from datetime import UTC, date, datetime

from taskqueue_ray.core.patterns import month_shape
from taskqueue_ray.core.phrases.asked import Asked
from taskqueue_ray.core.phrases.vocabulary import SECONDS
from taskqueue_ray.core.rules import Once
from taskqueue_ray.core.zones import instant_of, local

_LONGEST = 100 * 366 * 86400
_ABOUT = {**SECONDS, "month": 30 * 86400, "year": 365 * 86400}


def once(asked: Asked) -> Once:
    """The moment that was asked for. Raises `Unclear`."""
    draft = asked.draft
    if draft.recurs or draft.has_days() or draft.window or draft.past_hour or draft.anchor:
        asked.refuse(
            "it says a moment and what recurs", f"every day{asked.at}", "tomorrow at 17:00"
        )
    if draft.after:
        return Once(exact(_after(asked)))
    return Once(exact(_at_moment(asked) if draft.moment else _on_date(asked)))


def exact(at: float) -> float:
    """The instant in whole microseconds, as its text in ISO 8601 gives it again."""
    return datetime.fromtimestamp(at, UTC).timestamp()


def _after(asked: Asked) -> float:
    draft = asked.draft
    if draft.times or draft.on_date or draft.moment:
        asked.refuse("it says two moments", "in 10 minutes", "tomorrow at 17:00")
    at = asked.now
    for number, unit in draft.after:
        if number * _ABOUT[unit] > _LONGEST:
            asked.refuse("a hundred years is the most", "in 90 days")
        if unit in SECONDS:
            at += number * SECONDS[unit]
        elif number == int(number):
            at = _months_later(asked.tz, at, int(number) * (12 if unit == "year" else 1))
        else:
            asked.refuse(f"only whole {unit}s can be counted", f"in {int(number) + 1} {unit}s")
    return at


def _months_later(tz: str, at: float, months: int) -> float:
    """The same time of the day, on the same day of that month or on its last one."""
    wall = local(tz, at)
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day = min(wall.day, month_shape(year, month + 1)[1])
    second = wall.hour * 3600 + wall.minute * 60 + wall.second
    return instant_of(tz, date(year, month + 1, day), second) + wall.microsecond / 1e6


def _at_moment(asked: Asked) -> float:
    draft = asked.draft
    if draft.times or draft.on_date:
        asked.refuse("it says two moments", "on 2027-01-31 at 10:00")
    try:
        found = datetime.fromisoformat(draft.moment.upper())
    except ValueError:
        asked.refuse("there is no such time", "2027-01-31T10:00:00+01:00")
    _see_year(asked, found)
    if found.tzinfo is not None:
        return found.timestamp()
    second = found.hour * 3600 + found.minute * 60 + found.second
    return instant_of(asked.tz, found.date(), second) + found.microsecond / 1e6


def _on_date(asked: Asked) -> float:
    draft = asked.draft
    day = draft.on_date or draft.today
    _see_year(asked, day)
    if not draft.times:
        asked.doubt("say the hour", f"{asked.text} at 09:00")
    if len(draft.times) > 1:
        asked.refuse("it says two moments", "tomorrow at 17:00", "every day at 08:00 and 20:00")
    at = instant_of(asked.tz, day, draft.times[0])
    if draft.said_today and at <= asked.now:
        asked.refuse("it has passed", f"tomorrow{asked.at}")
    return at


def _see_year(asked: Asked, day: date) -> None:
    if not 1970 < day.year < 8970:
        asked.refuse("years go from 1971 to 8969", "on 2027-01-31 at 10:00")
