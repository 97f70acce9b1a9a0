"""Durations and moments, as people write them, to seconds."""

import math
import re
from datetime import datetime, timedelta

from taskqueue_ray.core.errors import InvalidOption

Duration = float | int | str | timedelta
"""Seconds, a `timedelta`, or text such as `"30s"`, `"5m"`, `"2h"`, `"7d"`, `"1h30m"`, `"50ms"`."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_ACCEPTS = 'seconds from 0, a timedelta, or text such as "30s", "5m", "2h", "7d"'
LONGEST = 100 * 365 * 86400.0
"""A hundred years in seconds: what is longer is a mistake of units."""


def parse_duration(value: object, option: str = "duration") -> float:
    """The seconds that `value` stands for. Raises `InvalidOption` in the name of `option`.

    >>> parse_duration("1h30m")
    5400.0
    """
    seconds = _seconds(value)
    if seconds is None or not 0.0 <= seconds <= LONGEST:  # NaN fails both comparisons
        raise InvalidOption(option, _shown(value), _ACCEPTS)
    return seconds


def looks_like_duration(text: str) -> bool:
    """Whether the text is numbers with units, such as "1h30m"; a number alone is not."""
    return _WHOLE.fullmatch(text.strip().lower()) is not None


def parse_moment(value: object, option: str = "at") -> float:
    """Seconds since the epoch of an aware datetime. A naive one is refused: it names no instant."""
    if not isinstance(value, datetime):
        raise InvalidOption(option, _shown(value), "a datetime with a time zone")
    if value.utcoffset() is None:
        raise InvalidOption(
            option,
            _shown(value),
            "a datetime with a time zone, for instance datetime.now(timezone.utc)",
        )
    return value.timestamp()


def _seconds(value: object) -> float | None:
    match value:
        case bool():
            return None
        case int() | float():
            return _finite(value)
        case timedelta():
            return value.total_seconds()
        case str():
            return _read(value.strip().lower())
        case _:
            return None


def _finite(value: float) -> float | None:
    # An int beyond the range of floats raises where a float would be infinite.
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _read(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
