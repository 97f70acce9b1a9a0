"""Who serves beside the queue actor: scheduler, pool and alert actors, eyes on nodes, metrics.

Whatever ends one of these actors, the queue brings it back while there is something for it to do.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from taskqueue_ray.cluster import config as configs
from taskqueue_ray.cluster import nodes, pool_actor, watchman
from taskqueue_ray.cluster.loop import every
from taskqueue_ray.cluster.metrics import EXPORT, RayMetrics
from taskqueue_ray.cluster.scheduler_actor import start_scheduler
from taskqueue_ray.core.nodes import NodeSight
from taskqueue_ray.engine.engine import Engine

LOOK = 1.0
"""Seconds between two looks at whether the pool and alert actors are there, if they are needed."""

SCHEDULER_LOOK = 0.25
SCHEDULER_PAUSE = 5.0
"""Seconds between two attempts at starting a scheduler."""

POOL_PATIENCE = 5.0
"""Seconds that workers of pools have to give back what they run, at the end of the queue."""

FIRST_LOOK = 2.0
"""Seconds for which the opening waits to hear which nodes there are."""

log = logging.getLogger(__name__)


class Attendants:
    """Looks after them for one queue, from `serve` on."""

    def __init__(self, config: configs.QueueConfig) -> None:
        self._config = config
        self._name = configs.queue_actor_name(config.location)
        self._metrics = RayMetrics()
        self._engine: Engine | None = None
        self._is_ending = False
        self._scheduler_due = 0.0

    def serve(self, engine: Engine, sights: list[NodeSight]) -> None:
        """Begin; whoever asks the engine first is to see these nodes."""
        self._engine = engine
        self._observe(sights)

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What is to run as long as the queue is open."""
        found = [
            every(nodes.LOOK, self._look, "nodes"),
            every(LOOK, self._see_to_pools, "pools"),
            every(SCHEDULER_LOOK, self._see_to_schedules, "schedules"),
        ]
        if self._config.ray_metrics == "on":
            found.append(every(EXPORT, self._export, "metrics"))
        if self._config.alerts == "on":
            found.append(every(LOOK, self._see_to_alerts, "alerts"))
        return found

    def leave(self) -> None:
        """The engine serves no more."""
        self._engine = None

    async def end_pools(self) -> None:
        """End the workers of all pools, and bring nobody back. While the queue still serves.

        Also after its pools were suspended or deleted: what is left of them is in Ray.
        """
        self._is_ending = True
        await asyncio.to_thread(pool_actor.end, self._name, POOL_PATIENCE)

    async def dismiss(self) -> None:
        """The queue is closed: whoever was on the way is not needed."""
        await asyncio.to_thread(pool_actor.end, self._name, 0.0)
        await asyncio.to_thread(watchman.dismiss, self._config.location)

    async def first_look(self) -> list[NodeSight]:
        """The nodes before anyone is served, which must not wait for it for long."""
        try:
            async with asyncio.timeout(FIRST_LOOK):
                return await asyncio.to_thread(nodes.look)
        except Exception as error:
            log.warning("the nodes are not known yet: %r", error)
            return []

    async def _look(self) -> None:
        """See which nodes there are, which have died, and which Ray is about to end."""
        self._observe(await asyncio.to_thread(nodes.look))

    def _observe(self, sights: list[NodeSight]) -> None:
        if self._engine is not None:
            for said in self._engine.observe(sights):
                log.warning("%s", said)

    async def _see_to_schedules(self) -> None:
        """Somebody must ask for what is due; who did may have died, or there was no need."""
        now = asyncio.get_running_loop().time()
        if self._engine is None or not self._engine.scheduling.misses_one():
            return
        if now >= self._scheduler_due:
            self._scheduler_due = now + SCHEDULER_PAUSE
            await asyncio.to_thread(start_scheduler, self._name)

    async def _see_to_pools(self) -> None:
        if self._engine is not None and not self._is_ending and self._engine.pools.are_stored():
            config = self._config
            await asyncio.to_thread(
                pool_actor.ensure, self._name, config.log_level, config.log_format
            )

    async def _see_to_alerts(self) -> None:
        if self._engine is not None and self._engine.alerting.needs_actor():
            await asyncio.to_thread(watchman.post, configs.watch_of(self._config))

    async def _export(self) -> None:
        if self._engine is not None:
            self._metrics.export(self._engine.measures.families())
