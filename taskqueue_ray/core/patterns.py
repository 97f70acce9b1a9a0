"""What a rule looks for on the wall: days of a month and times of a day, and the next that fit.

A wall time is a count of seconds, see `zones.py`. The search is bounded: a pattern that fits no
day within `YEARS` has no next time.
"""

from bisect import bisect_left
from datetime import date
from functools import lru_cache
from typing import NamedTuple, Protocol

_DAY = 86400
_EPOCH = date(1970, 1, 1).toordinal()
_LAST_YEAR = 9990
YEARS = 60
"""29 February on one day of the week comes every 28 years, and after 40 around 2100."""

EVERY_DAY = (1 << 31) - 1


class Days(Protocol):
    """Which days of a month fit: bit 0 is the first."""

    def of_month(self, year: int, month: int) -> int: ...


class Times(Protocol):
    """Which seconds of a day fit."""

    def first_from(self, second: int) -> int | None: ...


class Pattern(NamedTuple):
    """Days and times. `runs_on`: its times are those of a clock that runs on when offsets change,
    so that what the wall skips is skipped and what it shows twice is twice.
    """

    days: Days
    times: Times
    runs_on: bool

    def next_wall(self, wall: int) -> int | None:
        """The first wall time from `wall` on that fits."""
        day, second = divmod(wall, _DAY)
        if self._fits(day):
            found = self.times.first_from(second)
            if found is not None:
                return day * _DAY + found
        later = self._day_from(day + 1)
        first = self.times.first_from(0)
        return None if later is None or first is None else later * _DAY + first

    def _fits(self, day: int) -> bool:
        on = date.fromordinal(day + _EPOCH)
        return bool(self.days.of_month(on.year, on.month) >> (on.day - 1) & 1)

    def _day_from(self, day: int) -> int | None:
        on = date.fromordinal(day + _EPOCH)
        year, month, passed = on.year, on.month, on.day - 1
        while year < min(on.year + YEARS, _LAST_YEAR):
            left = self.days.of_month(year, month) >> passed << passed
            if left:
                nth = (left & -left).bit_length()
                return date(year, month, nth).toordinal() - _EPOCH
            year, month, passed = year + month // 12, month % 12 + 1, 0
        return None


class Clock(NamedTuple):
    """Each of the hours with each of the minutes with each of the seconds, all sorted."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def first_from(self, second: int) -> int | None:
        hour, rest = divmod(second, 3600)
        minute, rest = divmod(rest, 60)
        if hour in self.hours:
            if minute in self.minutes and rest <= self.seconds[-1]:
                return hour * 3600 + minute * 60 + _from(self.seconds, rest)
            if minute < self.minutes[-1]:
                return hour * 3600 + _from(self.minutes, minute + 1) * 60 + self.seconds[0]
        if hour < self.hours[-1]:
            later = _from(self.hours, hour + 1)
            return later * 3600 + self.minutes[0] * 60 + self.seconds[0]
        return None


def _from(values: tuple[int, ...], least: int) -> int:
    return values[bisect_left(values, least)]


class Listed(NamedTuple):
    """Those seconds of the day, sorted."""

    times: tuple[int, ...]

    def first_from(self, second: int) -> int | None:
        at = bisect_left(self.times, second)
        return self.times[at] if at < len(self.times) else None


class Repeated(NamedTuple):
    """Every `step` seconds from `first` to `last`."""

    first: int
    last: int
    step: int

    def first_from(self, second: int) -> int | None:
        steps = max(0, -((self.first - second) // self.step))
        found = self.first + steps * self.step
        return found if found <= self.last else None


@lru_cache(maxsize=4096)
def month_shape(year: int, month: int) -> tuple[int, int]:
    """The weekday of the first (Monday is 0), and the number of days."""
    first = date(year, month, 1)
    after = date(year + month // 12, month % 12 + 1, 1)
    return first.weekday(), (after - first).days


def on_weekday(first: int, weekday: int) -> int:
    """The days of a month on that weekday, when its first day is a `first`."""
    return _WEEKLY << (weekday - first) % 7 & EVERY_DAY


_WEEKLY = sum(1 << day for day in range(0, 31, 7))


def lowest(days: int) -> int:
    """The earliest of the days alone."""
    return days & -days


def nth_weekday(shape: tuple[int, int], nth: int, weekday: int) -> int:
    """The nth of that weekday in a month of this shape, -1 for the last; no day when none."""
    first, length = shape
    days = on_weekday(first, weekday) & (1 << length) - 1
    if nth < 0:
        return 1 << days.bit_length() - 1
    for _ in range(nth - 1):
        days -= lowest(days)
    return lowest(days)
