"""Which days a `Calendar` names, and the cron expression that says the same, if there is one."""

from datetime import date
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import msgspec

from taskqueue_ray.core.patterns import (
    Listed,
    Pattern,
    Repeated,
    month_shape,
    nth_weekday,
    on_weekday,
)
from taskqueue_ray.core.rules import Calendar, Cron


@lru_cache(maxsize=4096)
def calendar_pattern(rule: Calendar) -> Pattern:
    """What the rule looks for on the wall."""
    window = rule.window
    if window is None:
        return Pattern(CalendarDays(rule), Listed(rule.times), runs_on=False)
    return Pattern(
        CalendarDays(rule), Repeated(window.first, window.last, window.step), runs_on=True
    )


class CalendarDays(NamedTuple):
    """The days of a calendar."""

    rule: Calendar

    def of_month(self, year: int, month: int) -> int:
        rule = self.rule
        if rule.months and month not in rule.months:
            return 0
        shape = month_shape(year, month)
        first, length = shape
        fit = (1 << length) - 1
        if rule.weekdays:
            fit &= sum(on_weekday(first, weekday) for weekday in rule.weekdays)
        if rule.month_days or rule.nth:
            named = 0
            for day in rule.month_days:
                named |= 1 << (length if day < 0 else min(day, length)) - 1
            for nth, weekday in rule.nth:
                named |= nth_weekday(shape, nth, weekday)
            fit &= named
        return fit & self._in_step(year, month, length) if rule.step > 1 and fit else fit

    def _in_step(self, year: int, month: int, length: int) -> int:
        rule = self.rule
        begin = date.fromordinal(rule.anchor)
        if rule.unit == "month":
            since = (year - begin.year) * 12 + month - begin.month
            return (1 << length) - 1 if since >= 0 and since % rule.step == 0 else 0
        first = date(year, month, 1).toordinal()
        span = 7 if rule.unit == "week" else 1
        # Ordinal 1 is a Monday, and so begins a week.
        origin = (rule.anchor - 1) // span
        fit = 0
        for day in range(length):
            since = (first + day - 1) // span - origin
            if since >= 0 and since % rule.step == 0:
                fit |= 1 << day
        return fit


def simplest(rule: Calendar) -> Calendar | Cron:
    """The rule as cron where five or six fields say the same."""
    beyond = (
        rule.step > 1
        or rule.nth
        or rule.window
        or any(not 0 < day <= shortest(rule.months) for day in rule.month_days)
    )
    clock = _clock_fields(rule.times)
    if beyond or clock is None or (rule.month_days and rule.weekdays):
        return msgspec.structs.replace(rule, unit="day", anchor=0) if rule.step == 1 else rule
    seconds, minutes, hours = clock
    fields = [
        minutes,
        hours,
        _numbers(rule.month_days),
        _numbers(rule.months),
        _numbers(tuple(sorted((day + 1) % 7 for day in rule.weekdays))),
    ]
    return Cron(" ".join(fields if seconds == "0" else [*fields, seconds]))


def shortest(months: tuple[int, ...]) -> int:
    """How many days each of the months has at least; of all months when none is named."""
    lengths = {4: 30, 6: 30, 9: 30, 11: 30, 2: 28}
    return min(lengths.get(month, 31) for month in months or range(1, 13))


def _clock_fields(times: tuple[int, ...]) -> tuple[str, str, str] | None:
    """Seconds, minutes and hours when the times are each of these with each of those."""
    parts = [(time % 60, time // 60 % 60, time // 3600) for time in times]
    fields = [sorted(set(values)) for values in zip(*parts, strict=True)]
    if len(list(product(*fields))) != len(parts):
        return None
    seconds, minutes, hours = (_numbers(tuple(field)) for field in fields)
    return seconds, minutes, hours


def _numbers(values: tuple[int, ...]) -> str:
    if not values:
        return "*"
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]}-{values[-1]}"
    return ",".join(map(str, values))
