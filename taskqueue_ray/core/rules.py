"""What recurs, as values: the four kinds of rules that a schedule can have.

They are stored and sent, so they hold plain data alone. What they mean is in `recurrence.py`.
"""

from typing import Literal

import msgspec


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """A cron expression of five fields, or six with the seconds last; Vixie cron's rules."""

    expression: str


class Every(msgspec.Struct, frozen=True, tag="every"):
    """Every so many seconds of real time after `anchor`, the epoch second of the schedule's start.

    The first time is one interval after the anchor. An anchor of 0 has not been chosen yet.
    """

    seconds: float
    anchor: float = 0.0


class Window(msgspec.Struct, frozen=True):
    """Every `step` seconds from `first` to `last`, both included, in seconds after midnight."""

    first: int
    last: int
    step: int


class Calendar(msgspec.Struct, frozen=True, tag="calendar"):
    """Days that cron cannot name, and the times of the clock on each of them.

    A day counts when it fits each of the filters that are not empty: `weekdays` (Monday is 0),
    `months` (1 to 12), and one of `month_days` (a number, -1 for the last day; one that the month
    does not have is its last) or `nth` (the first Monday is (1, 0), the last Friday (-1, 4)).
    With a `step` above 1 only every so many days, weeks (from Monday) or months count, beginning
    with the one that `anchor` is in: the number of a day as `date.toordinal` gives it.
    """

    times: tuple[int, ...] = ()
    window: Window | None = None
    weekdays: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    nth: tuple[tuple[int, int], ...] = ()
    months: tuple[int, ...] = ()
    step: int = 1
    unit: Literal["day", "week", "month"] = "day"
    anchor: int = 0


class Once(msgspec.Struct, frozen=True, tag="once"):
    """One time, in seconds since the epoch."""

    at: float


Rule = Cron | Every | Calendar | Once
