"""The pool actor: looks after the workers of all stored pools of one queue.

Its workers are detached, under names that tell pool, shape and number. So its own death means
nothing to them: the next one finds them by their names, and starts none of them twice.
"""

import itertools
import logging
import threading
import time
from contextlib import suppress
from typing import Any

import ray
from msgspec.structs import replace
from ray.exceptions import RayError

from taskqueue_ray.cluster import config as configs
from taskqueue_ray.cluster import recruiting
from taskqueue_ray.cluster.crew import Crew
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.core.demand import LookReply, LookRequest
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import QueueClosed, TaskQueueError
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.engine import logs

LOOK = 1.0
"""Seconds for which the queue may hold a look of pools that have workers."""

HOLD = 10.0
"""The same when there is nobody to look after: it is answered when there is work."""

PAUSE = 0.1
GONE = 60.0
"""Seconds without a queue actor after which workers and pool actor end."""

log = logging.getLogger(__name__)


class PoolActor:
    """Looks again and again, in a thread of its own. It has no state that is not found anew."""

    def __init__(self, config: bytes) -> None:
        self._config = configs.decode_pool(config)
        logs.set_up(self._config.log_level, self._config.log_format)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="taskqueue-pools", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"PoolActor({self._config.queue_actor})"

    def ping(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def _live(self) -> None:
        keeper = PoolKeeper(self._config.queue_actor)
        seen_at = time.monotonic()
        while not self._stop.wait(PAUSE):
            try:
                keeper.look()
                seen_at = time.monotonic()
            except QueueClosed:
                if time.monotonic() - seen_at > GONE:
                    log.warning("the queue is gone: its pools end")
                    recruiting.end_all(self._config.queue_actor)
                    break
                self._stop.wait(LOOK)
            except (TaskQueueError, RayError) as error:
                log.warning("cannot look after the pools now: %s", error)
            except Exception:
                log.exception("a look at the pools failed; the next one follows")
                self._stop.wait(LOOK)
            if keeper.is_done:
                break
        me = ray.get_runtime_context().current_actor
        with suppress(RayError, ValueError):
            ray.kill(me, no_restart=True)  # for good: the queue starts another one if need be


class PoolKeeper:
    """The crews of all stored pools."""

    def __init__(self, queue_actor: str) -> None:
        self._queue = QueueHandle(queue_actor)
        self._crews: dict[str, Crew] = {}
        self._looked = False

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to look after, now and until a pool is set or resumed."""
        idle = all(one.pool.suspended and not one.hands for one in self._crews.values())
        return self._looked and idle

    def look(self) -> None:
        """One look: what the queue says, and what follows."""
        looks = [crew.look() for crew in self._crews.values()]
        calm = self._looked and all(one.hungry for one in looks)
        request = LookRequest(looks, detached=True, wait=(HOLD if calm else LOOK) * self._looked)
        data = self._queue.call("look", encode(request))
        self.tick(decode(data, LookReply), time.time())

    def tick(self, reply: LookReply, now: float) -> None:
        """Bring the crews in line with the pools, and the workers with their demand."""
        fresh = self._match(reply.pools)
        if fresh or not self._looked:
            self._adopt()
        self._looked = True
        for name, crew in list(self._crews.items()):
            try:
                crew.tick(reply.demand.get(name, []), reply.workers, now)
            except RayError as error:
                log.warning("pool %s cannot be looked after now: %s", name, error)
            if name not in {pool.name for pool in reply.pools} and not crew.hands:
                del self._crews[name]

    def _match(self, pools: list[Pool]) -> bool:
        """Crews for the stored pools; whether there are new ones."""
        fresh = False
        known = {pool.name: pool for pool in pools}
        for name, crew in self._crews.items():
            # Of a pool that was deleted the workers finish what they run, and end.
            crew.change(known.get(name) or replace(crew.pool, suspended=True))
        for name, pool in known.items():
            if name not in self._crews:
                self._crews[name], fresh = self._crew(pool), True
        return fresh

    def _crew(self, pool: Pool) -> Crew:
        def names(shape: Shape, count: int) -> list[str]:
            mark = recruiting.brand(self._crews[pool.name].pool, shape)
            taken = self._crews[pool.name].hands
            free = (
                name
                for number in itertools.count(1)
                if (name := recruiting.detached_name(self._queue.name, pool.name, mark, number))
                not in taken
            )
            return list(itertools.islice(free, count))

        return Crew(pool, pool.name, self._queue, names, detached=True)

    def _adopt(self) -> None:
        """Find the workers that another pool actor has started, also for pools that are deleted."""
        found = recruiting.names_of(configs.workers_prefix(self._queue.name))
        for name in found:
            pool, mark, _ = recruiting.parts_of(name)
            crew = self._crews.get(pool)
            if crew is None:
                crew = self._crews[pool] = self._crew(Pool(pool, suspended=True))
            if (actor := recruiting.find(name)) is not None:
                crew.adopt(name, mark, actor)


def ensure(queue_actor: str, log_level: str, log_format: str) -> None:
    """Start the pool actor of a queue unless there is one. Does not wait for it."""
    name = configs.pool_actor_name(queue_actor)
    if recruiting.find(name) is not None:
        return
    config = configs.PoolActorConfig(queue_actor, log_level, log_format)  # type: ignore[arg-type]
    with suppress(ValueError):  # somebody else was between (ray #20611)
        ray.remote(PoolActor).options(
            name=name,
            namespace=configs.NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_concurrency=10,
            num_cpus=configs.ACTOR_CPUS,
            enable_task_events=False,
        ).remote(configs.encode(config))


def end(queue_actor: str, patience: float) -> None:
    """End the pool actor and its workers, which give back what they run. The queue must be up."""
    actor: Any = recruiting.find(configs.pool_actor_name(queue_actor))
    if actor is not None:
        recruiting.end(actor)
    recruiting.end_all(queue_actor, patience)
