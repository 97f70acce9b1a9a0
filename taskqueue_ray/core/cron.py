"""Cron expressions, by the rules of Vixie cron.

Five fields (minute, hour, day of the month, month, day of the week), or six with the seconds last.
Each takes `*`, numbers, names of months and days, ranges, steps, and lists of these; the day of
the month `L` (the last), the day of the week `5#2` (the second Friday) and `5L` or `L5` (the last
one); `?` is `*` for days. When both kinds of days are limited a day has to fit one of them; when a
field starts with `*`, both. See crontab(5).
"""

from functools import lru_cache
from typing import NamedTuple

from taskqueue_ray.core.errors import PhraseNotUnderstood
from taskqueue_ray.core.patterns import (
    EVERY_DAY,
    Clock,
    Pattern,
    month_shape,
    nth_weekday,
    on_weekday,
)

NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST = 500
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: nth for nth, name in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 7, {name: nth for nth, name in enumerate(_DAYS)}),
    _Field("second", 0, 59, {}),
)


class CronDays(NamedTuple):
    """The days that a cron expression fits: as numbers, as weekdays (Monday is 0), or both."""

    months: frozenset[int]
    numbers: int
    last: bool
    weekdays: frozenset[int]
    nth: frozenset[tuple[int, int]]
    either: bool

    def of_month(self, year: int, month: int) -> int:
        if month not in self.months:
            return 0
        shape = month_shape(year, month)
        first, length = shape
        by_number = self.numbers | (1 << length - 1 if self.last else 0)
        by_weekday = EVERY_DAY if len(self.weekdays) == 7 else 0
        if not by_weekday:
            for weekday in self.weekdays:
                by_weekday |= on_weekday(first, weekday)
            for nth, weekday in self.nth:
                by_weekday |= nth_weekday(shape, nth, weekday)
        fit = by_number | by_weekday if self.either else by_number & by_weekday
        return fit & (1 << length) - 1


def looks_like_cron(text: str) -> bool:
    """Whether the text is meant as cron: it starts as an expression does."""
    fields = text.split()
    if text.startswith("@") or "*" in text:
        return True
    return len(fields) in (5, 6) and all(set(field) <= set("0123456789,-/") for field in fields[:2])


def normalised(text: str) -> str:
    """The expression with single spaces and in lower case, `@daily` and the like written out.

    Raises `PhraseNotUnderstood` when it is no expression, or fits no day at all.
    """
    expression = " ".join(text.lower().split())
    if expression.startswith("@"):
        if expression not in NAMED:
            raise PhraseNotUnderstood(text, text, list(NAMED), "no such name for an expression")
        expression = NAMED[expression]
    if cron_pattern(expression).next_wall(0) is None:
        raise PhraseNotUnderstood(
            text, text, ["0 0 L * *", "0 0 28 2 *"], "no month of it has such a day"
        )
    return expression


@lru_cache(maxsize=16384)
def cron_pattern(expression: str) -> Pattern:
    """What a normalised expression looks for on the wall. Raises `PhraseNotUnderstood`."""
    fields = expression.split()
    if len(fields) not in (5, 6) or len(expression) > _LONGEST:
        raise PhraseNotUnderstood(
            expression,
            expression,
            ["30 2 * * *", "30 2 * * * 15"],
            "a cron expression has five fields, or six with the seconds last",
        )
    minute, hour, *_ = fields
    second = fields[5] if len(fields) == 6 else "0"
    clock = Clock(
        tuple(sorted(_values(expression, hour, _FIELDS[1]))),
        tuple(sorted(_values(expression, minute, _FIELDS[0]))),
        tuple(sorted(_values(expression, second, _FIELDS[5]))),
    )
    return Pattern(_days(expression, fields), clock, minute[0] == "*" or hour[0] == "*")


def _days(expression: str, fields: list[str]) -> CronDays:
    by_number, by_month, by_weekday = (
        "*" if field == "?" and at != 1 else field for at, field in enumerate(fields[2:5])
    )
    numbers = [item for item in by_number.split(",") if item != "l"]
    kept = [item for item in by_weekday.split(",") if "#" not in item and "l" not in item]
    special = [item for item in by_weekday.split(",") if item not in kept]
    return CronDays(
        months=frozenset(_values(expression, by_month, _FIELDS[3])),
        numbers=sum(1 << n - 1 for n in _values_of(expression, numbers, _FIELDS[2])),
        last="l" in by_number.split(","),
        weekdays=frozenset((n - 1) % 7 for n in _values_of(expression, kept, _FIELDS[4])),
        nth=frozenset(_nth(expression, item) for item in special),
        either=by_number[0] != "*" and by_weekday[0] != "*",
    )


def _nth(expression: str, item: str) -> tuple[int, int]:
    """`5#2` and `5l` or `l5` as the number in the month, -1 for the last, and the weekday."""
    day, _, nth = item.partition("#")
    if not nth:
        day, nth = item.strip("l"), "-1"
    elif nth not in {"1", "2", "3", "4", "5"}:
        raise _refused(expression, item, _FIELDS[4])
    return int(nth), (_number(expression, day, _FIELDS[4]) - 1) % 7


def _values(expression: str, text: str, field: _Field) -> set[int]:
    return _values_of(expression, text.split(","), field)


def _values_of(expression: str, items: list[str], field: _Field) -> set[int]:
    return {value for item in items for value in _item(expression, item, field)}


def _item(expression: str, item: str, field: _Field) -> list[int]:
    span, slash, by = item.partition("/")
    step = _digits(expression, by, item, field) if slash else 1
    if step == 0:
        raise _refused(expression, item, field)
    first, dash, last = span.partition("-")
    if span == "*":
        low, high = field.low, field.high
    else:
        low = _number(expression, first, field)
        high = _number(expression, last, field) if dash else field.high if slash else low
    if field.high == 7:
        return _weekdays(low, high, step, whole=span == "*" or (not dash and bool(slash)))
    whole = [*range(field.low, field.high + 1)]
    if low <= high:
        return [*range(low, high + 1, step)]
    return [*whole[low - field.low :], *whole[: high - field.low + 1]][::step]


def _weekdays(low: int, high: int, step: int, *, whole: bool) -> list[int]:
    """Sunday is 0 and 7: a range may end with it or begin with it, or run over it."""
    if whole:
        return [*range(low % 7, 7, step)]
    high = high + 7 if high < low else high
    return [day % 7 for day in range(low, high + 1, step)]


def _number(expression: str, text: str, field: _Field) -> int:
    if text in field.names:
        return field.names[text]
    value = _digits(expression, text, text, field)
    if not field.low <= value <= field.high:
        raise _refused(expression, text, field)
    return value


def _digits(expression: str, text: str, item: str, field: _Field) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise _refused(expression, item, field)
    return int(text)


def _refused(expression: str, item: str, field: _Field) -> PhraseNotUnderstood:
    names = f" or {', '.join(field.names)}" if field.names else ""
    why = f"the {field.name} is a number from {field.low} to {field.high}{names}"
    return PhraseNotUnderstood(expression, item, ["30 2 * * *", "*/15 9-17 * * mon-fri"], why)
