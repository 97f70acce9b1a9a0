"""Carries notices to their sinks: again after a pause when it fails, and not for ever. What a rule
tells one sink goes in order, so that the end of an alert is never told before its beginning; else
each goes by itself. The queue waits for none of it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from taskqueue_ray.core.alerts import Delivery, Notice
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.engine.telling import Undelivered

PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 120.0, 300.0, 300.0)
"""Seconds before each further try; after the last one a notice is given up."""

AT_ONCE = 8

log = logging.getLogger(__name__)

Tell = Callable[[Notice, int], Awaitable[None]]
"""Tells one sink of a notice. Raises `Undelivered`, or a `TaskQueueError`."""


class _Errand(NamedTuple):
    """A notice on its way to one sink."""

    notice: Notice
    sink: int
    task: asyncio.Task[None]

    def precedes(self, notice: Notice, sink: int) -> bool:
        """Whether the same sink has to hear this of the same rule first. Tests wait for nobody."""
        alike = self.notice.rule == notice.rule and self.notice.number < notice.number
        same = self.notice.sinks[self.sink] == notice.sinks[sink]
        return alike and same and "test" not in (self.notice.what, notice.what)


@dataclass(slots=True)
class Courier:
    """`done` is told of each delivery, and of what was given up.

    A notice is carried to a sink by one task, however often it is handed in.
    """

    tell: Tell
    done: Callable[[Delivery], Awaitable[None]]
    pauses: tuple[float, ...] = PAUSES
    _under_way: dict[tuple[int, int], _Errand] = field(default_factory=dict)
    _doors: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def take(self, notices: Iterable[Notice]) -> None:
        """Begin with those that are not under way; let go of what is no longer wanted."""
        wanted = {(notice.number, sink): notice for notice in notices for sink in notice.left}
        for key in self._under_way.keys() - wanted.keys():
            self._under_way.pop(key).task.cancel()
        for (number, sink), notice in sorted(wanted.items(), key=lambda one: one[0]):
            if (number, sink) not in self._under_way:
                others = self._under_way.values()
                before = [one.task for one in others if one.precedes(notice, sink)]
                carry = self._carry(notice, sink, before)
                task = asyncio.get_running_loop().create_task(carry)
                self._under_way[number, sink] = _Errand(notice, sink, task)

    def close(self) -> None:
        """Stop; what is not delivered is in the queue's outbox still."""
        for errand in self._under_way.values():
            errand.task.cancel()

    async def _carry(self, notice: Notice, sink: int, before: list[asyncio.Task[None]]) -> None:
        if before:
            await asyncio.wait(before)
        problem = await self._try_until(notice, sink)
        if problem:
            log.error("alert %s was not delivered to sink %d: %s", notice.id, sink, problem)
        try:
            await self.done(Delivery(notice.number, sink, problem))
        except TaskQueueError as error:
            # It goes out once more, with the same id, when the queue can be told.
            log.warning("alert %s is delivered, and that was not noted: %s", notice.id, error)
            self._under_way.pop((notice.number, sink), None)

    async def _try_until(self, notice: Notice, sink: int) -> str:
        """Empty when it was told, and why not otherwise."""
        problem = ""
        for pause in (*self.pauses, None):
            try:
                async with self._doors:
                    await self.tell(notice, sink)
                return ""
            except (Undelivered, TaskQueueError) as error:
                problem = str(error)
            except Exception as error:
                log.exception("alert %s: telling a sink failed", notice.id)
                problem = f"{type(error).__name__}: {error}"
            if pause is not None:
                log.warning("alert %s: %s; next try in %g s", notice.id, problem, pause)
                await asyncio.sleep(pause)
        return f"{problem} (tried {len(self.pauses) + 1} times)"
