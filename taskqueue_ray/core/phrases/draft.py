"""What the clauses of a phrase said so far."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(slots=True)
class Draft:
    """Each clause fills in its part, once; `assembly.py` makes a rule of the whole."""

    today: date
    """In the zone of the schedule."""
    recurs: bool = False
    """It was said that it recurs: "every", "daily", "Mondays"."""
    amounts: list[tuple[float, str]] = field(default_factory=list)
    """How often: numbers and units, "every 1 hour 30 minutes"."""
    named: str = ""
    """"hourly", "weekly": alone these are what cron means by them."""
    count: int = 0
    """"twice a day" is 2 times a ..."""
    count_unit: str = ""
    weekdays: set[int] = field(default_factory=set)
    month_days: set[int] = field(default_factory=set)
    nth: set[tuple[int, int]] = field(default_factory=set)
    months: set[int] = field(default_factory=set)
    or_last: bool = False
    """The last day of a month stands in for a day that it does not have."""
    of_month: bool = False
    times: list[int] = field(default_factory=list)
    past_hour: list[int] = field(default_factory=list)
    """":15": minutes past each hour."""
    window: tuple[int, int] | None = None
    anchor: date | None = None
    on_date: date | None = None
    """One day: "tomorrow", "next Friday", "2027-01-31"."""
    said_today: bool = False
    moment: str = ""
    """A date and a time in ISO 8601, as it was written."""
    after: list[tuple[float, str]] = field(default_factory=list)
    """"in 90 seconds"."""

    def has_days(self) -> bool:
        return bool(self.weekdays or self.month_days or self.nth or self.months)

    def has_clock(self) -> bool:
        return bool(self.times or self.past_hour or self.window)

    def says_once(self) -> bool:
        return bool(self.on_date or self.moment or self.after)
