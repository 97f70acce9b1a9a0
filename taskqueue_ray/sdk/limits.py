"""`q.rate_limiter` and `q.concurrency`: limits by name, for the whole cluster."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.exchange import LimitView
from taskqueue_ray.core.limiting import check_key
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.naming import check_name, check_type_name
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.core.usage import OF_QUEUE, OF_TYPE
from taskqueue_ray.engine.rates import Wish, throttling, until
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.records import moment
from taskqueue_ray.sdk.requests import Ask, Request
from taskqueue_ray.sdk.transport import Transport


class LimitRecord(NamedTuple):
    """A limit as it is now.

    `kind` is `"rate"`, `"concurrency"`, or `"throttle"` for a name that is closed for a time and
    has no limit. `key` None: it holds for all keys without one of their own; then `used` is what
    those count that name no key, and `keys` how many meters there are. `queue` or `type` is what it
    is about instead of a `name`. `until` is when a throttle ends.
    """

    name: str | None
    kind: str
    n: int
    per: float
    smooth: bool
    key: str | None
    used: int
    keys: int
    until: datetime | None
    queue: str | None = None
    type: str | None = None


class _Limits:
    _kinds: tuple[str, ...]

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def limits(self) -> list[LimitRecord]:
        """All of them, in the order in which they were set."""
        found = map(_record, self._ask(requests.limits()))
        return [one for one in found if one.kind in self._kinds]

    async def alimits(self) -> list[LimitRecord]:
        """`limits` for async code."""
        return await asyncio.to_thread(self.limits)


class RateLimiter(_Limits):
    """Rates: so many starts in any period of a length, over all workers."""

    _kinds = ("rate", "throttle")

    def __init__(self, ask: Ask, transport: Transport, check: Callable[[], None]) -> None:
        super().__init__(ask)
        self._transport = transport
        self._check = check

    def set_limit(
        self,
        name: str,
        n: int,
        per: Duration = 1.0,
        smooth: bool = False,
        key: object = None,
    ) -> bool:
        """Allow `n` units in any `per` seconds, from now on; False when it is so already.

        What was used under an earlier rule counts on. `smooth` spreads them evenly. A job that
        names the limit with a key has a meter of its own under this rule; with `key` here the rule
        is for that one key. Raises `InvalidOption`, and `LimitConflict` when the name is that of a
        concurrency limit.

        >>> q.rate_limiter.set_limit("api_calls", 100, per=60)  # doctest: +SKIP
        """
        return bool(self._ask(_rate(name, n, per, smooth, key)))

    async def aset_limit(self, name: str, n: int, per: Duration = 1.0, **given: Any) -> bool:
        """`set_limit` for async code."""
        return await asyncio.to_thread(lambda: self.set_limit(name, n, per, **given))

    def delete(self, name: str, key: object = None) -> bool:
        """Let everything through again; with a key, by the rule that the others have. False: there
        was no such rule.
        """
        name, whose = check_name("limit", name), check_key(key)
        return bool(self._ask(requests.delete_limit(name, "rate", whose)))

    async def adelete(self, name: str, key: object = None) -> bool:
        """`delete` for async code."""
        return await asyncio.to_thread(lambda: self.delete(name, key))

    def acquire(
        self,
        name: str,
        units: int = 1,
        *,
        key: object = None,
        timeout: Duration | None = None,
    ) -> None:
        """Wait until so many units are left, and use them up. Raises `LimitTimeout`.

        Inside of a job it goes through the worker. A call that is repeated because its answer was
        lost may use units twice, never exceed the limit.
        """
        self._check()
        Wish(name, units, key, timeout).acquire(self._transport.call)

    async def aacquire(
        self,
        name: str,
        units: int = 1,
        *,
        key: object = None,
        timeout: Duration | None = None,  # noqa: ASYNC109  # of the wish, which the queue holds
    ) -> None:
        """`acquire` for async code."""
        self._check()
        call: Callable[[str, bytes], Awaitable[bytes]] = self._transport.acall
        await Wish(name, units, key, timeout).aacquire(call)

    def throttle(self, name: str, seconds: Duration, key: object = None) -> datetime | None:
        """Start nothing under a limit for so long, after a "429 Too many requests" for one.

        The limit need not be set, and may be of either kind. The latest word holds; 0 opens it
        again. Returns until when.
        """
        self._check()
        return moment(until(self._transport.call("throttle", throttling(name, seconds, key))))

    async def athrottle(self, name: str, seconds: Duration, key: object = None) -> datetime | None:
        """`throttle` for async code."""
        self._check()
        answer = await self._transport.acall("throttle", throttling(name, seconds, key))
        return moment(until(answer))


class Concurrency(_Limits):
    """How many jobs run at a time, over all workers."""

    _kinds = ("concurrency",)

    def set_limit(
        self,
        name: str | None = None,
        n: int | None = None,
        key: object = None,
        *,
        type: str | None = None,
    ) -> bool:
        """Let `n` units of the jobs that name this limit run at a time; False: it is so already.

        Jobs that name it with a key are counted by key; with `key` here the rule is for that one.
        With `type` instead of a name it is about all jobs of a type. For those of a queue see
        `q.queues.configure(queue, concurrency=n)`. Raises `InvalidOption` and `LimitConflict`.

        >>> q.concurrency.set_limit("gpu", 2)  # doctest: +SKIP
        >>> q.concurrency.set_limit(type="reports.build", n=1)  # doctest: +SKIP
        """
        rule = LimitRule("concurrency", _count(n))
        return bool(self._ask(requests.set_limit(_scope(name, type), rule, check_key(key))))

    async def aset_limit(self, name: str | None = None, n: int | None = None, **given: Any) -> bool:
        """`set_limit` for async code."""
        return await asyncio.to_thread(lambda: self.set_limit(name, n, **given))

    def delete(
        self, name: str | None = None, key: object = None, *, type: str | None = None
    ) -> bool:
        """Take such a limit back; False: there was none."""
        scope = _scope(name, type)
        return bool(self._ask(requests.delete_limit(scope, "concurrency", check_key(key))))

    async def adelete(self, name: str | None = None, key: object = None, **given: Any) -> bool:
        """`delete` for async code."""
        return await asyncio.to_thread(lambda: self.delete(name, key, **given))


def _rate(name: str, n: int, per: Duration, smooth: bool, key: object) -> Request[bool]:
    if not isinstance(smooth, bool):
        raise InvalidOption("smooth", ascii(smooth)[:80], "True or False")
    rule = LimitRule("rate", _count(n), parse_duration(per, "per"), smooth)
    return requests.set_limit(check_name("limit", name), rule, check_key(key))


def _count(n: object) -> int:
    if isinstance(n, bool) or not isinstance(n, int):
        raise InvalidOption("n", ascii(n)[:80], "a whole number from 1")
    return n


def _scope(name: str | None, type_name: str | None) -> str:
    if (name is None) == (type_name is None):
        given = "both" if name is not None else "neither"
        raise InvalidOption("limit", given, "a name, or type=...")
    if type_name is not None:
        return OF_TYPE + check_type_name("type", type_name)
    return check_name("limit", name)


def _record(view: LimitView) -> LimitRecord:
    prefix, colon, rest = view.name.partition(":")
    return LimitRecord(
        name=None if colon else view.name,
        kind=view.kind,
        n=view.n,
        per=view.per,
        smooth=view.smooth,
        key=view.key or None,
        used=view.used,
        keys=view.keys,
        until=moment(view.until),
        queue=rest if prefix + colon == OF_QUEUE else None,
        type=rest if prefix + colon == OF_TYPE else None,
    )
