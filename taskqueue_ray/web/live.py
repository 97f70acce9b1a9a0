"""The one poll that all pages and streams share, and the stream of its news.

However many browsers are open, the queue is asked once a tick: for its counts, its workers and its
controls. Pages are drawn from what is at hand, and say so when the queue does not answer.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import NamedTuple

from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import QueueRecord
from taskqueue_ray.web.look import NOT_YET, Look, Rare, Ring

log = logging.getLogger(__name__)

TICK = 1.0
REST = 10.0
"""Seconds between two looks while nobody watches."""
WATCHED = 30.0
"""Seconds for which somebody who loaded a page counts as watching."""
RARELY = 5.0
"""Seconds between two looks at alerts and at what was measured."""
MAX_STREAMS = 500


class Trouble(NamedTuple):
    """That the queue does not answer: since when, and what it said."""

    since: float
    words: str


def take_look(queue: TaskQueue, now: float, rare: Rare = NOT_YET) -> Look:
    """Ask the queue: three small questions, and two more when `rare` is old."""
    workers = tuple(queue.worker_health())
    stats: list[QueueRecord] = list(queue.stats())
    controls = queue.queues.controls()
    if now - rare.at >= RARELY:
        rare = Rare(now, tuple(queue.alerts.firing()), queue.performance_metrics())
    return Look(now, tuple(stats), workers, tuple(controls.paused), dict(controls.settings), rare)


class Poller:
    """Looks at the queue once a tick, for everybody."""

    def __init__(self, queue: TaskQueue, clock: Callable[[], float] = time.time) -> None:
        self.ring = Ring()
        self.look = Look(0.0)
        self.trouble: Trouble | None = None
        self.version = 0
        self.streams = 0
        self._queue = queue
        self._clock = clock
        self._watched_at = 0.0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    async def attend(self) -> None:
        """Somebody watches: look often. The first one waits for the first look."""
        rested = self._clock() - self._watched_at > WATCHED
        self._watched_at = self._clock()
        if self._task is None or self._task.done():
            self._loop = asyncio.get_running_loop()
            # Those of a loop that has ended are of no use in another.
            self._news, self._woken = asyncio.Event(), asyncio.Event()
            self._task = self._loop.create_task(self._run())
            await self.next()
        elif rested and not self.streams:
            self._woken.set()
            await self.next()

    async def stop(self) -> None:
        """No more looks."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def next(self, seconds: float = 5.0) -> None:
        """The next look, or that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def look_again(self) -> None:
        """Look now, and return after that; from a thread that has changed something."""
        if self._loop is not None and self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self.tick(afresh=True), self._loop).result(30.0)

    async def tick(self, *, afresh: bool = False) -> None:
        """One look, `afresh` also at what is rarely looked at. Whoever waits for news has them."""
        now = self._clock()
        try:
            rare = NOT_YET if afresh else self.look.rare
            look = await asyncio.to_thread(take_look, self._queue, now, rare)
        except TaskQueueError as error:
            if self.trouble is None:
                log.warning("the queue does not answer: %s", error)
                self.version += 1
            since = self.trouble.since if self.trouble else now
            self.trouble = Trouble(since, str(error))
        else:
            changed = self.trouble is not None or _facts(look) != _facts(self.look)
            self.version += changed
            self.look, self.trouble = look, None
            self.ring.add(look)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def stream(self) -> AsyncIterator[bytes]:
        """News as server-sent events, one for each look."""
        self.streams += 1
        try:
            yield b"retry: 2000\n\n"
            while True:
                yield self._event()
                self._watched_at = self._clock()
                await self.next(REST)
        finally:
            self.streams -= 1

    def _event(self) -> bytes:
        body = {
            "version": self.version,
            "ok": self.trouble is None,
            "at": self.look.at,
            "point": self.ring.last_point(),
        }
        return b"event: tick\ndata: " + json.dumps(body).encode() + b"\n\n"

    async def _run(self) -> None:
        while True:
            begun = self._clock()
            await self.tick()
            watched = self.streams or self._clock() - self._watched_at < WATCHED
            pause = TICK if watched else REST
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.1, pause - (self._clock() - begun))):
                    await self._woken.wait()


def _facts(look: Look) -> object:
    queues = [(one.queue, one.counts, one.retries) for one in look.queues]
    workers = [(one.id, one.running, one.draining, one.held) for one in look.workers]
    alerts = [(one.name, one.muted_until) for one in look.rare.firing]
    return queues, workers, look.pauses, look.settings, alerts
