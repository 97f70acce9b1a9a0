"""Waiting for units of a rate, from a program or from inside a job, over whatever line there is."""

import time
from collections.abc import Awaitable, Callable

import msgspec

from taskqueue_ray.core.commands import Throttle
from taskqueue_ray.core.errors import LimitTimeout
from taskqueue_ray.core.exchange import AcquireRequest, Permit
from taskqueue_ray.core.limiting import check_key, check_units
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.timing import Duration, parse_duration

Call = Callable[[str, bytes], bytes]
Acall = Callable[[str, bytes], Awaitable[bytes]]

HOLD = 10.0
"""Seconds for which the queue holds a call; after that it is asked again."""

_encode = msgspec.msgpack.Encoder().encode
_permit = msgspec.msgpack.Decoder(Permit).decode
_until = msgspec.msgpack.Decoder(float).decode


class Wish:
    """Units that somebody wants, and for how long still."""

    def __init__(self, name: str, units: int, key: object, timeout: Duration | None) -> None:
        self._name = check_name("limit", name)
        self._units = check_units(units)
        self._key = check_key(key)
        self._timeout = None if timeout is None else parse_duration(timeout, "timeout")
        self._began = time.monotonic()

    def acquire(self, call: Call) -> None:
        """Wait for them. Raises `LimitTimeout`."""
        while not _permit(call("acquire", self._ask())).given:
            self._check()

    async def aacquire(self, call: Acall) -> None:
        """The same for async code."""
        while not _permit(await call("acquire", self._ask())).given:
            self._check()

    def _left(self) -> float:
        if self._timeout is None:
            return HOLD
        return self._began + self._timeout - time.monotonic()

    def _ask(self) -> bytes:
        wait = min(HOLD, max(0.0, self._left()))
        return _encode(AcquireRequest(self._name, self._units, self._key, wait))

    def _check(self) -> None:
        if self._left() <= 0:
            raise LimitTimeout(self._name, self._timeout or 0.0)


def throttling(name: str, seconds: Duration, key: object) -> bytes:
    """The request to close a limit for a time."""
    check_name("limit", name)
    return _encode(Throttle(name, parse_duration(seconds, "seconds"), check_key(key)))


def until(answer: bytes) -> float:
    """Its answer: until when."""
    return _until(answer)
