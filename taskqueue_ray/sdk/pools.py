"""`q.pools`: workers that are kept running with the queue, as many as its jobs need."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec.structs import replace

from taskqueue_ray.core.demand import PoolStatus, Staff
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.pool import Pool, Terms, check_pool, parse_shapes
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.requests import Ask
from taskqueue_ray.sdk.tables import RecordList

UNCHANGED: Any = object()
Shapes = Literal["auto"] | Sequence[Mapping[str, Any]]


class PoolRecord:
    """A pool: what was set (`pool`, None when it belongs to a program), and its workers by shape.

    `seen_ago` is in seconds; None: nobody looks after it now.
    """

    def __init__(self, status: PoolStatus) -> None:
        self.name = status.name
        self.queues = status.queues
        self.pool = status.pool
        self.staff: list[Staff] = status.staff
        self.seen_ago = status.seen_ago

    @property
    def ready(self) -> int:
        """Workers that are at work."""
        return sum(row.ready for row in self.staff)

    @property
    def starting(self) -> int:
        """Workers that Ray has not brought up yet."""
        return sum(row.starting for row in self.staff)

    @property
    def problems(self) -> list[str]:
        """What hinders it, in sentences."""
        found = []
        for row in self.staff:
            holds = f"with {row.shape}" if row.shape else "of the plain kind"
            if row.impossible:
                found.append(f"no node of this cluster can hold a worker {holds}")
            if row.problem:
                again = f"tried again in {row.retry_in:.0f} s"
                found.append(f"a worker {holds} cannot start: {row.problem} ({again})")
            if row.refused:
                found.append(f"a worker {holds} may not start: {row.refused}")
        return found

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        pool = self.pool
        return {
            "pool": self.name,
            "queues": ", ".join(self.queues) or "all",
            "min": pool.minimum if pool else None,
            "max": pool.maximum if pool else None,
            "concurrency": pool.concurrency if pool else None,
            "wanted": sum(row.wanted for row in self.staff),
            "ready": self.ready,
            "starting": self.starting,
            "draining": sum(row.draining for row in self.staff),
            "state": self._state(),
            "problem": "; ".join(self.problems) or None,
        }

    def _state(self) -> str:
        if self.pool is None:
            return "attached"
        if self.pool.suspended:
            return "suspended"
        return "working" if self.seen_ago is not None else "unattended"

    def __repr__(self) -> str:
        return f"<pool {self.name}: {self.ready} workers, {self.starting} starting>"


class Pools:
    """Pools are stored with the queue and come back with it. A pool needs a queue that outlives
    its programs: one on a running Ray cluster.
    """

    def __init__(self, ask: Ask, terms: Callable[[], Terms] | None = None) -> None:
        self._ask = ask
        self._terms = terms

    def set(
        self,
        name: str,
        queues: Sequence[str] = UNCHANGED,
        *,
        min: int = UNCHANGED,
        max: int = UNCHANGED,
        concurrency: int = UNCHANGED,
        shapes: Shapes = UNCHANGED,
        target_wait: Duration = UNCHANGED,
        cool_down: Duration = UNCHANGED,
        suspended: bool = False,
    ) -> Pool:
        """Make a pool, or change the one of that name: what is not named stays. Durable on return.

        It has `min` to `max` (0 to 10) workers for these queues (none: for all), each with
        `concurrency` executors, as many as it takes for no job to wait longer than `target_wait`
        (30 s). Those that are not needed for `cool_down` (60 s) end; one with a job in hand never
        does. `shapes` are the resources that its workers hold: `"auto"`, those that the jobs ask
        for, or a list of them. Its workers know the jobs that this program knows, and the modules
        of the setting `app`; setting it again from another program changes that.

        >>> q.pools.set("mail", ["emails"], max=4, concurrency=8)  # doctest: +SKIP
        >>> q.pools.set("gpu", max=2, shapes=[{"num_gpus": 0.5}])  # doctest: +SKIP
        """
        given: dict[str, Any] = {"suspended": suspended}
        if queues is not UNCHANGED:
            given["queues"] = _queues(queues)
        for field, value in (("minimum", min), ("maximum", max), ("concurrency", concurrency)):
            if value is not UNCHANGED:
                given[field] = _whole(field, value)
        for field, span in (("target_wait", target_wait), ("cool_down", cool_down)):
            if span is not UNCHANGED:
                given[field] = parse_duration(span, field)
        if shapes is not UNCHANGED:
            given["shapes"] = parse_shapes(shapes)
        known = self.get(name)
        pool = known.pool if known is not None and known.pool is not None else Pool(name)
        if self._terms is not None:
            given["terms"] = self._terms()
        if given.get("maximum") is None and given.get("minimum", 0) > pool.maximum:
            given["maximum"] = given["minimum"]
        made: Pool = self._ask(requests.set_pool(check_pool(replace(pool, **given))))
        return made

    def delete(self, name: str) -> bool:
        """Let a pool have no more workers: they finish what they run. False when there is none."""
        return bool(self._ask(requests.delete_pool(check_name("pool", name))))

    def suspend(self, name: str) -> bool:
        """Let its workers finish and start none until `resume` or `set`; False: it has none."""
        return self._switch(name, suspended=True)

    def resume(self, name: str) -> bool:
        """Have workers again, as they were set; False when it is not suspended."""
        return self._switch(name, suspended=False)

    def _switch(self, name: str, *, suspended: bool) -> bool:
        found = self.get(name)
        if found is None or found.pool is None or found.pool.suspended is suspended:
            return False
        self._ask(requests.set_pool(replace(found.pool, suspended=suspended)))
        return True

    def list(self) -> RecordList[PoolRecord]:
        """Every pool, those of programs included."""
        return RecordList(map(PoolRecord, self._ask(requests.pools())))

    def get(self, name: str) -> PoolRecord | None:
        """The stored pool of that name, or None."""
        check_name("pool", name)
        return next((one for one in self.list() if one.name == name), None)

    async def aset(self, name: str, queues: Sequence[str] = UNCHANGED, **settings: Any) -> Pool:
        """`set` for async code."""
        return await asyncio.to_thread(lambda: self.set(name, queues, **settings))

    async def adelete(self, name: str) -> bool:
        """`delete` for async code."""
        return await asyncio.to_thread(self.delete, name)

    async def asuspend(self, name: str) -> bool:
        """`suspend` for async code."""
        return await asyncio.to_thread(self.suspend, name)

    async def aresume(self, name: str) -> bool:
        """`resume` for async code."""
        return await asyncio.to_thread(self.resume, name)

    async def alist(self) -> RecordList[PoolRecord]:
        """`list` for async code."""
        return await asyncio.to_thread(self.list)

    async def aget(self, name: str) -> PoolRecord | None:
        """`get` for async code."""
        return await asyncio.to_thread(self.get, name)


def _queues(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidOption("queues", ascii(value)[:80], "a list of queues; [] means all")
    return tuple(dict.fromkeys(check_name("queue", one) for one in value))


def _whole(option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOption(option, ascii(value)[:80], "a whole number")
    return value
