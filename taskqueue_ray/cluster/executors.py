"""The executors of one worker: fed, watched, killed and replaced. Knows nothing of Ray.

Jobs wait here, by priority, and go to the executors in small portions, so that a long job holds
few others up; what it does hold up is recalled and given to its neighbours.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Unpack

from taskqueue_ray.cluster.executor_slot import ExecutorSlot, Remains
from taskqueue_ray.cluster.feeding import is_open, top_up
from taskqueue_ray.cluster.holder import (
    END_PATIENCE,
    KILL_PATIENCE,
    STOP_PATIENCE,
    STUCK,
    Duties,
    Holder,
    busy_for_long,
)
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.cluster.nursery import Nursery
from taskqueue_ray.cluster.waiting import Waiting
from taskqueue_ray.core.blobs import INLINE
from taskqueue_ray.core.exchange import Grant, Outcome
from taskqueue_ray.core.model import ExecutorKind, JobId, Options
from taskqueue_ray.engine.payload import MAX_SIZE
from taskqueue_ray.executor.kernel import kill_group

ASYNC_LIMIT = 500
"""Coroutines that run at a time in a worker's async executor."""

TICK = 0.05
"""Seconds between two calls of `tick`, at most, for the promised reaction times."""


class Executors(Holder):
    """Runs leased jobs in processes that it forks; see `Holder` for what both kinds do.

    The owner calls `tick` every `TICK` seconds or sooner; `stop` releases what is left.
    `environment` is what the executors' processes see, their keys included.

    >>> executors = Executors(concurrency=2, app_modules=("shop.jobs",), ...)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        concurrency: int,
        app_modules: tuple[str, ...],
        on_output: Callable[[JobId | None, str], None] | None = None,
        environment: Mapping[str, str] | None = None,
        search: tuple[str, ...] = (),
        max_result: int = MAX_SIZE,
        inline: int = INLINE,
        async_limit: int = ASYNC_LIMIT,
        **duties: Unpack[Duties],
    ) -> None:
        super().__init__(**duties)
        self._on_output = on_output or _print
        self._limits: dict[ExecutorKind, int] = {"process": concurrency, "async": 1}
        self._async_limit = async_limit
        self._waiting: dict[ExecutorKind, Waiting] = {"process": Waiting(), "async": Waiting()}
        self._slots: dict[int, ExecutorSlot] = {}
        self._saw_async = False
        self._nursery = Nursery(
            environment=dict(os.environ if environment is None else environment),
            modules=app_modules,
            search=search,
            max_result=max_result,
            inline=inline,
            exited=self._exited,
            lost=self._server_lost,
            tell=self._incidents.append,
        )

    # --- what a worker does with it --------------------------------------------------------------

    async def start(self) -> None:
        """Start the fork server and wait until it has imported the application.

        Until then submitted jobs wait. A failed import is an incident, not an error here.
        """
        self._nursery.start(self._clock())
        while not self._nursery.ready.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nursery.ready.wait(), TICK)
            self._nursery.tick(self._clock())
        self._dispatch(self._clock())

    @property
    def unusable(self) -> dict[str, str]:
        """Modules of the application that could not be imported, and why."""
        return self._nursery.unusable

    def submit(self, options: list[Options], grants: list[Grant]) -> None:
        """Take in leased jobs, whose `options` are indexes into `options`."""
        self._saw_async = self._saw_async or any(one.executor == "async" for one in options)
        super().submit(options, grants)

    def room(self) -> int:
        """How many more jobs it would like to have in hand.

        Many when jobs are fast, so that no executor waits for the queue, one per executor when
        they are slow, so that a late urgent job waits for little, and none behind long ones.
        """
        if self._draining or not self._nursery.ready.is_set():
            return 0
        concurrency, ahead = self._limits["process"], self._pace.ahead()
        busy = busy_for_long(self._slots.values(), self._clock())
        beyond = (concurrency - busy) * ahead
        if self._appetite.seen:
            line, slots = self._waiting["process"], self._slots.values()
            beyond += self._appetite.room(slots, line, concurrency, busy)
        return max(0, concurrency + beyond + self._async_target() - self.count())

    @property
    def server_pid(self) -> int:
        """The process id of the fork server, 0 when there is none now."""
        return self._nursery.pid

    async def stop(self) -> None:
        """Kill what runs, release what is left, and end the processes. Safe to call twice."""
        self._draining = True
        self._release_waiting()
        if not self.count():
            for slot in self._slots.values():
                slot.stop()
            await self._until(lambda: not self._slots, STOP_PATIENCE)
        self._interrupt_all()
        await self._relay.end()
        await self._nursery.end(END_PATIENCE)

    def tick(self, now: float) -> list[Incident]:
        """Look after everything: time limits, the dead, the stuck. Returns what was noteworthy."""
        self._nursery.tick(now)
        for slot in list(self._slots.values()):
            self._watch(slot, now)
        self._dispatch(now)
        self._spare_the_waiting(now)
        return self._take_incidents()

    # --- lines and executors ---------------------------------------------------------------------

    def _each_line(self) -> Iterable[Waiting]:
        return self._waiting.values()

    def _each_slot(self) -> Iterable[ExecutorSlot]:
        return self._slots.values()

    def _line_for(self, options: Options) -> Waiting:
        return self._waiting["process" if options.executor == "process" else "async"]

    def _dispatch(self, now: float) -> None:
        for kind, line in self._waiting.items():
            if line and self._nursery.ready.is_set() and not self._draining:
                if self._appetite.seen:
                    self._top_up(line, now)
                self._grow(kind, len(line), now)
                self._feed(kind, line, now)

    def _grow(self, kind: ExecutorKind, wanted: int, now: float) -> None:
        """Start executors that are missing, not more than there are jobs for."""
        alive = [slot for slot in self._slots.values() if slot.kind == kind and slot.stays]
        idle = sum(not slot.held for slot in alive)
        missing = min(self._limits[kind] - len(alive), wanted - idle)
        if now < self._start_after:
            return
        for _ in range(missing):
            self._numbers += 1
            slots = self._async_limit if kind == "async" else 0
            loop = asyncio.get_running_loop()
            slot = ExecutorSlot(loop, self._numbers, kind, slots, self._report, self._on_output)
            self._slots[slot.number] = slot
            self._nursery.fork(slot)

    def _feed(self, kind: ExecutorKind, line: Waiting, now: float) -> None:
        stuck_before = now - STUCK
        slots = self._slots.values()
        self._deal(
            [slot for slot in slots if slot.kind == kind and is_open(slot, stuck_before)], line, now
        )

    def _top_up(self, line: Waiting, now: float) -> None:
        """What can join a call that waits for company does not begin another."""
        for slot in self._slots.values():
            if tickets := top_up(slot, line, self._pace, self._recycling.left(slot)):
                slot.assign(tickets, now)

    def _spare_the_waiting(self, now: float) -> None:
        """Behind long jobs alone nobody waits here: another worker may be free."""
        line = self._waiting["process"]
        if line and busy_for_long(self._slots.values(), now) >= self._limits["process"]:
            self._settle([self._verdicts.released(ticket) for ticket in line.take_all()])

    def _async_target(self) -> int:
        """Coroutines to have in hand: twice what there is, as long as such jobs come."""
        if not self._saw_async:
            return 0
        waiting = len(self._waiting["async"])
        present = waiting + sum(
            len(slot.held) for slot in self._slots.values() if slot.kind == "async"
        )
        return min(self._async_limit, max(1, 2 * present))

    # --- watching --------------------------------------------------------------------------------

    def _watch(self, slot: ExecutorSlot, now: float) -> None:
        if slot.killed_at:
            if now - slot.killed_at > KILL_PATIENCE and slot.number in self._slots:
                self._nursery.abandon()
        elif not self._condemn(slot, now):
            if slot.kind == "process" and now - slot.moved > STUCK and slot.holds_up():
                slot.recall()
            else:
                self._recycle(slot, now)

    def _end(self, slot: ExecutorSlot) -> None:
        self._nursery.kill(slot)

    def _exited(self, number: int, status: int) -> None:
        if slot := self._slots.get(number):
            now = self._clock()
            if not slot.cell.latest() and not slot.killed_at:
                self._hold_off(now)
            self._bury(slot, status, now)
            self._dispatch(now)

    def _server_lost(self) -> None:
        now = self._clock()
        for slot in list(self._slots.values()):
            if slot.pid:
                # The kernel kills the executors of a dead server, but not what they started.
                kill_group(slot.pid)
            self._bury(slot, None, now)

    def _bury(self, slot: ExecutorSlot, status: int | None, now: float) -> None:
        self.restarts += 1
        remains = self._take_remains(slot)
        outcomes = self._inquest.outcomes(slot, remains, status, now)
        self._close(slot, remains, outcomes, release=slot.giving_back)

    def _interrupt_all(self) -> None:
        for slot in list(self._slots.values()):
            if slot.pid:
                kill_group(slot.pid)
            remains = self._take_remains(slot)
            self._close(slot, remains, self._inquest.interrupted(remains), release=True)

    def _take_remains(self, slot: ExecutorSlot) -> Remains:
        slot.drain()
        self._slots.pop(slot.number, None)
        return slot.remains()

    def _close(
        self, slot: ExecutorSlot, remains: Remains, outcomes: list[Outcome], *, release: bool
    ) -> None:
        slot.held.clear()
        slot.close()
        self._return(remains.fresh, release=release, ended=outcomes)


def _print(_job: JobId | None, line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201  # what jobs print goes where the worker's own does
