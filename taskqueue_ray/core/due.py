"""The next time of a rule, over the changes of a zone's clock.

The rule is Vixie cron's: a fixed time that the clock skips is due at the first instant after the
gap, one that it shows twice is due the first time; minutes or hours left open (`*`) and windows
run on with the wall as it is, and intervals with real time.
"""

import math
from datetime import UTC, datetime

from taskqueue_ray.core.calendars import calendar_pattern
from taskqueue_ray.core.cron import cron_pattern
from taskqueue_ray.core.patterns import YEARS, Pattern
from taskqueue_ray.core.rules import Calendar, Cron, Every, Once, Rule
from taskqueue_ray.core.zones import Stretch, stretches

EARLIEST, LATEST = 0.0, 221_000_000_000.0
"""The instants that rules are about, in seconds: from 1970 to the year 8973."""


def next_after(rule: Rule, tz: str, after: float) -> float | None:
    """The first due time of the rule strictly after that instant; None when there is none."""
    if not EARLIEST <= after < LATEST:  # NaN as well
        after = EARLIEST if after < EARLIEST else LATEST
    match rule:
        case Once(at):
            return at if at > after else None
        case Every(seconds, anchor):
            return _next_interval(seconds, anchor, after)
        case Cron(expression):
            return _next_shown(cron_pattern(expression), tz, after)
        case Calendar():
            return _next_shown(calendar_pattern(rule), tz, after)


def _next_interval(seconds: float, anchor: float, after: float) -> float:
    passed = max(0, math.floor((after - anchor) / seconds))
    at = anchor + (passed + 1) * seconds
    return at if at > after else anchor + (passed + 2) * seconds


def _next_shown(pattern: Pattern, tz: str, after: float) -> float | None:
    """The walls of successive stretches, each from where it has shown nothing yet."""
    since = math.floor(after) + 1
    this_year = datetime.fromtimestamp(after, UTC).year
    for year in range(this_year, min(this_year + YEARS, 9990)):
        for stretch in stretches(tz, year):
            if stretch.end <= since:
                continue
            found = pattern.next_wall(_first_wall(stretch, since, runs_on=pattern.runs_on))
            if found is None:
                return None
            # What fell into the gap before this stretch is due at its start.
            at = max(found - stretch.offset, stretch.start)
            if at < stretch.end:
                return float(at)
    return None


def _first_wall(stretch: Stretch, since: int, *, runs_on: bool) -> int:
    wall = max(since, stretch.start) + stretch.offset
    if runs_on:
        return wall
    return stretch.shown if since <= stretch.start else max(wall, stretch.shown)
