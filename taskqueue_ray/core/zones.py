"""Time zones: from instants to the wall clock and back, over the changes of the offset.

A wall time is a count of seconds as if the zone's clock were in UTC. A `Stretch` is a span of time
with one offset; within it the two clocks run alike.
"""

from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from taskqueue_ray.core.errors import InvalidOption

_DAY = 86400
_EPOCH = date(1970, 1, 1).toordinal()
_OF_THE_MACHINE = {"localtime", "posixrules", "Factory"}


class Stretch(NamedTuple):
    """From `start` until before `end` the wall shows the instant plus `offset`.

    `shown` is what the wall would have shown at `start` with the offset before: below
    `start + offset` it tells of a gap, above it of a fold.
    """

    start: int
    end: int
    offset: int
    shown: int


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The zone of that IANA name. Raises `InvalidOption`."""
    try:
        if name in _OF_THE_MACHINE:
            raise ValueError(name)
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as unknown:
        raise InvalidOption("tz", ascii(name)[:80], _known_zones(name)) from unknown


def _known_zones(name: object) -> str:
    wanted = str(name)[:60].replace(" ", "_")
    by_last = {known.rpartition("/")[2].casefold(): known for known in available_timezones()}
    by_name = {known.casefold(): known for known in available_timezones()}
    near = get_close_matches(wanted.casefold(), by_name, n=1, cutoff=0.7)
    near += get_close_matches(wanted.casefold(), by_last, n=1, cutoff=0.8)
    found = [(by_name | by_last)[key] for key in near] or ["Europe/Berlin", "UTC"]
    return f"the IANA name of a time zone, such as {' or '.join(dict.fromkeys(found))}"


def local(tz: str, instant: float) -> datetime:
    """The instant on that zone's wall."""
    return datetime.fromtimestamp(instant, zone(tz))


@lru_cache(maxsize=4096)
def stretches(tz: str, year: int) -> tuple[Stretch, ...]:
    """The stretches of that year (of UTC), the first and the last cut off at its ends."""
    where = zone(tz)
    start = _new_year(year)
    end = _new_year(year + 1)
    before = _offset(where, start - 1)
    found = []
    while start < end:
        offset = _offset(where, start)
        change = _next_change(where, start, end, offset)
        found.append(Stretch(start, change, offset, start + before))
        start, before = change, offset
    return tuple(found)


def _next_change(where: ZoneInfo, start: int, end: int, offset: int) -> int:
    """The first second after `start` with another offset, or `end`."""
    old, new = start, min(start + _DAY, end - 1)
    while _offset(where, new) == offset:
        if new == end - 1:
            return end
        old, new = new, min(new + _DAY, end - 1)
    while new - old > 1:
        middle = (old + new) // 2
        if _offset(where, middle) == offset:
            old = middle
        else:
            new = middle
    return new


def _offset(where: ZoneInfo, instant: int) -> int:
    shift = datetime.fromtimestamp(instant, where).utcoffset()
    return 0 if shift is None else round(shift.total_seconds())


def _new_year(year: int) -> int:
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def instant_of(tz: str, day: date, second: int) -> int:
    """When the zone's wall first shows that second of that day; after the gap if it skips it."""
    wall = (day.toordinal() - _EPOCH) * _DAY + second
    for year in (day.year - 1, day.year, day.year + 1):
        for stretch in stretches(tz, year):
            at = max(wall - stretch.offset, stretch.start)
            if at < stretch.end:
                return at
    raise InvalidOption("when", str(day), "a time from 1971 to 8969")
