"""`q.fault_tolerance`: jobs that are not done twice, and nodes that cannot be trusted."""

import asyncio
from typing import Any, Protocol

from taskqueue_ray.core.claims import Unique
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import NodeMode
from taskqueue_ray.core.timing import Duration
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.job import JobItem, as_item
from taskqueue_ray.sdk.nodes import NodeRecord
from taskqueue_ray.sdk.requests import Ask, set_node_mode

WINDOW = "24h"


class Enqueuer(Protocol):
    """What enqueues: the connection."""

    def enqueue(self, target: Any, /) -> JobHandle[Any]:
        """Enqueue an item."""


class FaultTolerance:
    """Repeats that are recognised, and partitions."""

    def __init__(self, ask: Ask, enqueuer: Enqueuer) -> None:
        self._ask = ask
        self._enqueuer = enqueuer

    def ensure_idempotency(
        self,
        target: Any,
        /,
        *args: Any,
        key: str | None = None,
        within: Duration = WINDOW,
        **kwargs: Any,
    ) -> JobHandle[Any]:
        """Enqueue a call once: a repeat within the window gives the handle of the first, whose
        `result` is the first one's, however it ended. Nothing runs again.

        The same are calls with the same `key`, or without one those of the same job with equal
        arguments. A job that has `key` or `within` among its own arguments is given as
        `job.item(...)`. What a job does outside can still happen twice when its worker dies in
        the middle: let it hand `key` on to what it calls.

        >>> q.fault_tolerance.ensure_idempotency(charge, "order-7", key="order-7")  # doctest: +SKIP
        """
        item = as_item(target, args, kwargs)
        rule = Unique(key, within=within)
        once: JobItem[Any] = JobItem(
            item.job_type, item.options.but({"unique": rule}), item.args, item.kwargs
        )
        return self._enqueuer.enqueue(once)

    def handle_network_partition(self, node: str, partitioned: bool = True) -> NodeRecord:
        """Fence a node, or with False readmit it.

        Its leases are taken back at once, no attempt and no loss counted, and its jobs run
        elsewhere. They may still run there: what comes of that is refused, and its workers get
        nothing more before the node is readmitted. Raises `UnknownNode`.
        """
        if type(partitioned) is not bool:
            raise InvalidOption("partitioned", ascii(partitioned)[:80], "True or False")
        mode: NodeMode = "fenced" if partitioned else "open"
        return NodeRecord.of(self._ask(set_node_mode(node, mode)))

    async def aensure_idempotency(
        self, target: Any, /, *args: Any, **kwargs: Any
    ) -> JobHandle[Any]:
        """`ensure_idempotency` for async code."""
        return await asyncio.to_thread(lambda: self.ensure_idempotency(target, *args, **kwargs))

    async def ahandle_network_partition(self, node: str, partitioned: bool = True) -> NodeRecord:
        """`handle_network_partition` for async code."""
        return await asyncio.to_thread(self.handle_network_partition, node, partitioned)
