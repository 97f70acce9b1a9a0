"""The option `batch`: how many jobs one call of a vectorized handler takes, and how it waits."""

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.timing import Duration, parse_duration

MAX_SIZE = 10_000
MAX_WAIT = 10.0
"""Seconds; an executor that has work and begins none for much longer counts as frozen."""

_MAX_KEY = 200


class Batch(msgspec.Struct, frozen=True):
    """One call of the handler serves up to `max_size` jobs of its type.

    The handler gets a list of items, one of each job, and returns a list of as many results. It
    takes the jobs that its executor has in hand, and waits up to `max_wait` for more of them while
    there is nothing else to do. With a `key`, only items with an equal value of it share a call: it
    names an attribute of the item, or an entry of an item that is a dict.

    Raises `InvalidOption`.

    >>> Batch(max_size=32).seconds
    0.05
    """

    max_size: int = 64
    max_wait: Duration = "50ms"
    key: str | None = None

    def __post_init__(self) -> None:
        size = self.max_size
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
            accepts = f"a whole number from 1 to {MAX_SIZE}"
            raise InvalidOption("batch max_size", ascii(size)[:80], accepts)
        seconds = parse_duration(self.max_wait, "batch max_wait")
        if seconds > MAX_WAIT:
            accepts = f"at most {MAX_WAIT:g} seconds"
            raise InvalidOption("batch max_wait", ascii(self.max_wait)[:80], accepts)
        msgspec.structs.force_setattr(self, "max_wait", seconds)
        key = self.key
        if key is not None and not (isinstance(key, str) and 0 < len(key) <= _MAX_KEY):
            accepts = "the name of an attribute or entry of the item, or None"
            raise InvalidOption("batch key", ascii(key)[:80], accepts)

    @property
    def seconds(self) -> float:
        """`max_wait` in seconds."""
        return float(self.max_wait) if isinstance(self.max_wait, float | int) else 0.0


def check_batch(value: object) -> Batch | None:
    """The option as it was given to a decorator or a class."""
    if value is None or isinstance(value, Batch):
        return value
    raise InvalidOption("batch", ascii(value)[:80], "tq.Batch(max_size=..., max_wait=..., key=...)")
