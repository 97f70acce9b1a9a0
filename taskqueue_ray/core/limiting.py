"""The option `limits`: which limits a job is started under, with how many units, on whose meter."""

from typing import Any

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import MAX_LIMITS, MAX_UNITS, Use
from taskqueue_ray.core.naming import check_name, check_title


class Limit(msgspec.Struct, frozen=True):
    """A job is started only when the limit `name` has `units` left, and uses them up.

    With a `key`, those who give the same one share a meter of their own: a user, a customer, an
    account. A limit that nobody has set lets everything through.

    Raises `InvalidOption`.

    >>> Limit("api_calls", units=3, key="customer 7").units
    3
    """

    name: str
    units: int = 1
    key: object = None

    def __post_init__(self) -> None:
        check_name("limit", self.name)
        check_units(self.units)
        check_key(self.key)

    @property
    def use(self) -> Use:
        """It as the queue keeps it."""
        return Use(self.name, self.units, check_key(self.key))


def check_units(value: object) -> int:
    """How much a start counts."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_UNITS:
        raise InvalidOption("units", ascii(value)[:80], f"a whole number from 1 to {MAX_UNITS:,}")
    return value


def check_key(value: object) -> str:
    """Whose meter; None: that of all who name nobody."""
    if value is None:
        return ""
    return check_title("key", str(value) if type(value) is int else value)


def check_limits(value: Any) -> tuple[Use, ...]:
    """The option in any of its forms: names, `Limit`s, or one of these alone."""
    given = value if isinstance(value, list | tuple) else (value,)
    uses = []
    for one in given:
        if isinstance(one, str):
            uses.append(Use(check_name("limits", one)))
        elif isinstance(one, Limit):
            uses.append(one.use)
        else:
            raise InvalidOption("limits", ascii(one)[:80], "names of limits, or tq.Limit(...)")
    if len({use.name for use in uses}) < len(uses):
        raise InvalidOption(
            "limits", "one limit twice", "each once; several units of one: tq.Limit"
        )
    if len(uses) > MAX_LIMITS:
        raise InvalidOption("limits", f"{len(uses)} limits", f"at most {MAX_LIMITS}")
    return tuple(uses)
