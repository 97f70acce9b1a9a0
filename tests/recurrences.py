"""When rules are due, worked out the slow way: by watching the wall of a zone, minute by minute.

It shares no code with the product: the reference against which next times are checked.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from taskqueue_ray.core.rules import Calendar, Cron

_NAMES = {
    name: str(nth)
    for names, first in (("jan feb mar apr may jun jul aug sep oct nov dec", 1),
                         ("sun mon tue wed thu fri sat", 0))
    for nth, name in enumerate(names.split(), first)
}  # fmt: skip
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class Minute(NamedTuple):
    """An instant, what the wall shows then, and what it would have shown had it not leapt."""

    at: int
    wall: datetime
    leapt_over: tuple[datetime, ...]
    seen: bool


def watch(zone: str, start: int, end: int) -> list[Minute]:
    """The minutes of the zone's wall between two instants."""
    return list(_watching(ZoneInfo(zone), start, end))


def _watching(zone: ZoneInfo, start: int, end: int) -> Iterator[Minute]:
    def wall(at: int) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)

    minute = timedelta(minutes=1)
    # A fold before the start must be over, so look back a little.
    latest = max(wall(at) for at in range(start - 86400, start, 60))
    for at in range(start, end, 60):
        now = wall(at)
        missed = []
        while latest + minute < now:
            latest += minute
            missed.append(latest)
        yield Minute(at, now, tuple(missed), seen=now <= latest)
        latest = max(latest, now)


def due(rule: Cron | Calendar, minutes: list[Minute]) -> list[float]:
    """The instants of those minutes at which the rule is due."""
    fits, runs_on = _reading(rule)
    found = []
    for minute in minutes:
        if runs_on:
            is_due = fits(minute.wall)
        else:
            now = () if minute.seen else (minute.wall,)
            is_due = any(fits(wall) for wall in (*minute.leapt_over, *now))
        if is_due:
            found.append(float(minute.at))
    return found


def _reading(rule: Cron | Calendar):  # type: ignore[no-untyped-def]  # a pair of a predicate and a bool
    if isinstance(rule, Calendar):
        return (lambda wall: fits_calendar(rule, wall)), rule.window is not None
    fields = rule.expression.split()
    parsed = [_values(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)]
    runs_on = fields[0].startswith("*") or fields[1].startswith("*")
    both = fields[2].startswith("*") or fields[4].startswith("*")
    return (lambda wall: _fits_cron(parsed, wall, both=both)), runs_on


def _values(field: str, low: int, high: int) -> set[object]:
    found: set[object] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        first, last = _NAMES.get(first, first), _NAMES.get(last, last)
        if span == "*":
            found |= set(range(low, high + 1, int(step or 1)))
        elif "#" in span or "l" in span:
            found.add(span)
        elif last:
            found |= set(range(int(first), int(last) + 1, int(step or 1)))
        elif step:
            found |= set(range(int(first), high + 1, int(step)))
        else:
            found.add(int(first))
    return found


def _fits_cron(fields: list[set[object]], wall: datetime, *, both: bool) -> bool:
    minutes, hours, numbers, months, weekdays = fields
    if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
        return False
    last = monthrange(wall.year, wall.month)[1]
    by_number = wall.day in numbers or ("l" in numbers and wall.day == last)
    day = wall.isoweekday()
    by_weekday = any(
        number in weekdays
        or f"{number}#{(wall.day + 6) // 7}" in weekdays
        or (f"{number}l" in weekdays and wall.day + 7 > last)
        for number in ({0, 7} if day == 7 else {day})
    )
    return by_number and by_weekday if both else by_number or by_weekday


def fits_calendar(rule: Calendar, wall: datetime) -> bool:
    """Whether the rule names that minute of the wall."""
    second = wall.hour * 3600 + wall.minute * 60
    if rule.window:
        first, last, step = rule.window.first, rule.window.last, rule.window.step
        if second not in range(first, last + 1, step):
            return False
    elif second not in rule.times:
        return False
    return _fits_days(rule, wall) and _in_step(rule, wall)


def _fits_days(rule: Calendar, wall: datetime) -> bool:
    last = monthrange(wall.year, wall.month)[1]
    if rule.months and wall.month not in rule.months:
        return False
    if rule.weekdays and wall.weekday() not in rule.weekdays:
        return False
    if not rule.month_days and not rule.nth:
        return True
    if any(wall.day == (last if day == -1 else min(day, last)) for day in rule.month_days):
        return True
    return any(
        wall.weekday() == weekday
        and (wall.day + 7 > last if nth == -1 else (wall.day + 6) // 7 == nth)
        for nth, weekday in rule.nth
    )


def _in_step(rule: Calendar, wall: datetime) -> bool:
    if rule.step == 1:
        return True
    begin = datetime.fromordinal(rule.anchor)
    day = datetime(wall.year, wall.month, wall.day)
    if rule.unit == "day":
        counted = (day - begin).days
    elif rule.unit == "week":
        monday = timedelta(days=day.weekday()), timedelta(days=begin.weekday())
        counted = ((day - monday[0]) - (begin - monday[1])).days // 7
    else:
        counted = (day.year - begin.year) * 12 + day.month - begin.month
    return counted >= 0 and counted % rule.step == 0


def changes(zone: str, start: int, end: int) -> list[int]:
    """The hours after which the offset of the zone is another one than before."""
    where = ZoneInfo(zone)
    offsets = [
        (at, datetime.fromtimestamp(at, UTC).astimezone(where).utcoffset())
        for at in range(start, end, 3600)
    ]
    return [
        at
        for (_, before), (at, after) in zip(offsets, offsets[1:], strict=False)
        if before != after
    ]
