"""The scheduler actor: it asks the queue to fire what is due, again and again, and knows nothing.

The queue holds the call until something is due, so nothing is asked while nothing is to be done.
What is fired, and whether it has been, is the queue's to say: a scheduler that dies, or one too
many, changes nothing but who asks.
"""

import asyncio
import logging
import os
import secrets
from contextlib import suppress

import ray
from ray.exceptions import RayError

from taskqueue_ray.cluster.config import ACTOR_CPUS, NAMESPACE
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.loop import every
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import QueueClosed, TaskQueueError
from taskqueue_ray.core.exchange import FireRequest, Fires

HOLD = 30.0
"""Seconds for which the queue may hold a call."""

PATIENCE = 60.0
PAUSE = 0.005

log = logging.getLogger(__name__)


class SchedulerActor:
    """Fires the schedules of one queue actor, and leaves when there are none, or no queue."""

    def __init__(self, queue: str) -> None:
        self._queue = QueueHandle(queue)
        self._request = encode(FireRequest(f"scheduler:{secrets.token_hex(4)}", HOLD))
        self._task = asyncio.get_running_loop().create_task(every(PAUSE, self._tick, "scheduler"))

    def __repr__(self) -> str:
        return f"SchedulerActor({self._queue.name})"

    async def pid(self) -> int:
        """The process that it is."""
        return os.getpid()

    async def _tick(self) -> None:
        try:
            raw = await self._queue.acall("fire", self._request, HOLD + PATIENCE)
        except QueueClosed:
            self._leave("the queue is closed")
            return
        except TaskQueueError as error:
            log.warning("nothing can be fired now: %s", error)
            return
        fires = decode(raw, Fires)
        if not fires.dealt and not fires.next_due:
            self._leave("there is nothing to be fired any more")

    def _leave(self, why: str) -> None:
        """End for good. The queue starts another one when it needs one."""
        log.info("the scheduler leaves: %s", why)
        self._task.cancel()
        ray.kill(ray.get_runtime_context().current_actor, no_restart=True)


def scheduler_name(queue: str) -> str:
    """The name of the scheduler actor of a queue actor.

    >>> scheduler_name("queue:0f3a:0")
    'scheduler:0f3a:0'
    """
    return f"scheduler:{queue.partition(':')[2]}"


def start_scheduler(queue: str) -> None:
    """Have a scheduler for this queue actor; nothing happens when there is one."""
    # Of two that start one at once the second may find the name taken (ray #20611): that is well.
    with suppress(RayError, ValueError):
        ray.remote(SchedulerActor).options(
            name=scheduler_name(queue),
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            num_cpus=ACTOR_CPUS,
            enable_task_events=False,
        ).remote(queue)
