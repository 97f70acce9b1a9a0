"""What people type into fields, as values. Raises `InvalidOption` for what is none."""

import json
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.zones import local, zone


def whole(option: str, text: str) -> int:
    """A whole number; thousands may be set apart by commas."""
    try:
        return int(text.replace(",", ""))
    except ValueError:
        raise InvalidOption(option, ascii(text)[:80], "a whole number, or nothing") from None


def number(option: str, text: str) -> float:
    """A number."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        raise InvalidOption(option, ascii(text)[:80], "a number") from None


def span(text: str) -> float | str:
    """A length of time: plain seconds, or text such as 5m, which the SDK reads."""
    try:
        return float(text)
    except ValueError:
        return text


def moment(option: str, text: str, tz: str) -> datetime:
    """A time: with an offset, or else as the clock of that zone shows it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        accepts = "a time such as 2027-01-31T10:00"
        raise InvalidOption(option, ascii(text)[:80], accepts) from None
    return found if found.utcoffset() is not None else found.replace(tzinfo=zone(tz))


def arguments(text: str) -> dict[str, Any]:
    """Arguments by name, as a JSON object."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidOption("arguments", ascii(text)[:80], 'a JSON object such as {"to": "ann"}')
    return found


def wall(at: float, tz: str) -> str:
    """An instant as a field for a time has it, on the clock of a zone."""
    return local(tz, at).strftime("%Y-%m-%dT%H:%M")


@cache
def zones() -> list[str]:
    """The zones that one may choose."""
    return sorted(name for name in available_timezones() if "/" in name or name == "UTC")
