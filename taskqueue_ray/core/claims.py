"""The option `unique`: which jobs count as the same, for how long, and what then."""

from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import OnConflict
from taskqueue_ray.core.naming import check_title
from taskqueue_ray.core.timing import Duration, parse_duration

MODES = get_args(OnConflict)


class Unique(msgspec.Struct, frozen=True):
    """At most one such job at a time.

    The same are jobs that give the same `key`; without one, those of the same type whose arguments
    are the same, or only the `fields` of them that are named. A key is taken until its job has
    ended; with `within`, for that time from enqueueing. `on_conflict` says what becomes of another:
    `"return_existing"` gives a handle of the job that is there, `"drop"` leaves it out, `"replace"`
    cancels the one that is there if it was not started, and `"raise"` raises `DuplicateJob`.

    Raises `InvalidOption`.

    >>> Unique(within="1h").within
    3600.0
    """

    key: str | None = None
    fields: Sequence[str] | None = None
    within: Duration | None = None
    on_conflict: OnConflict = "return_existing"

    def __post_init__(self) -> None:
        if self.key is not None:
            check_title("unique key", self.key)
            if self.fields is not None:
                raise InvalidOption("unique fields", "fields beside a key", "one of the two")
        if self.fields is not None:
            self._set("fields", _fields(self.fields))
        if self.within is not None:
            seconds = parse_duration(self.within, "unique within")
            if not seconds:
                raise InvalidOption("unique within", repr(self.within), "more than 0 seconds")
            self._set("within", seconds)
        if self.on_conflict not in MODES:
            modes = ", ".join(map(repr, MODES))
            raise InvalidOption("unique on_conflict", ascii(self.on_conflict)[:80], modes)

    @property
    def seconds(self) -> float:
        """The window, 0 without one."""
        return float(self.within) if isinstance(self.within, float | int) else 0.0

    def _set(self, name: str, value: object) -> None:
        msgspec.structs.force_setattr(self, name, value)


def check_unique(value: Any) -> Unique | None:
    """The option in any of its forms: a `Unique`, True, or a key."""
    if value is None or value is False:
        return None
    if value is True:
        return Unique()
    if isinstance(value, str):
        return Unique(value)
    if isinstance(value, Unique):
        return value
    raise InvalidOption("unique", ascii(value)[:80], "True, a key, or tq.Unique(...)")


def _fields(value: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and value and all(type(one) is str for one in value):
        return tuple(dict.fromkeys(value))
    raise InvalidOption("unique fields", ascii(value)[:80], "a list of parameter names")
