"""A worker's side of the exchange: one conversation with the queue, repeatable and batched.

Outcomes gather while an exchange is on its way. When one is merely held by the queue because there
is no work, news does not wait for it: a second one overtakes it and ends it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import accumulate, count
from typing import Protocol

from taskqueue_ray.cluster.saving import Saving
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import NodeFenced, TaskQueueError, UnknownSession
from taskqueue_ray.core.exchange import (
    Grant,
    Outcome,
    Progress,
    Save,
    WorkerInfo,
    WorkReply,
    WorkRequest,
)
from taskqueue_ray.core.metering import Vitals
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.engine.wording import say

HOLD = 10.0
"""Seconds for which the queue may hold a call that has nothing to answer."""

FIRST = 0.003
"""Seconds for which the first outcome of jobs that were just taken in is waited for."""

GATHER = 0.01
"""Seconds for which outcomes may gather in a worker that has plenty in hand."""

RIPE = 3
"""Outcomes are sent at once when they are this part of what is in hand, or more."""

CALL_BYTES = 80_000
"""Outcomes of about this size go into one call: a larger one takes a detour in Ray."""

OUTCOME_BYTES = 64
GATHER_SAVES = 0.1
"""Seconds for which checkpoints may wait for a call that is made anyway."""

PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds before an exchange that failed is repeated."""

Call = Callable[[str, bytes], Awaitable[bytes]]

log = logging.getLogger(__name__)


class Hands(Protocol):
    """What holds and runs the leased jobs (`AllHands`)."""

    def submit(self, options: list[Options], grants: list[Grant]) -> None:
        """Take jobs in."""

    def cancel(self, ids: list[JobId]) -> None:
        """Stop jobs."""

    def held(self) -> list[JobId]:
        """All jobs in hand."""

    def running(self) -> list[JobId]:
        """Those whose code runs now."""

    def room(self) -> int:
        """How many more jobs are wanted, for its own processes."""

    def rooms(self) -> dict[str, int]:
        """How many are wanted besides, for each kind of executor in Ray."""

    def full(self) -> list[str]:
        """The places in Ray of which no more are wanted."""


class Exchanges:
    """Keeps the hands fed and the queue informed. All on one event loop."""

    def __init__(
        self,
        info: WorkerInfo,
        hands: Hands,
        call: Call,
        vitals: Callable[[], Vitals | None] = lambda: None,
    ) -> None:
        self._vitals = vitals
        self._info = info
        self._hands = hands
        self._call = call
        self._outcomes: list[Outcome] = []
        self._progress: dict[JobId, Progress] = {}
        self._saving = Saving()
        self._grown: list[tuple[str, int]] = []
        self._saves_timer: asyncio.TimerHandle | None = None
        self._told: set[JobId] = set()
        self._wanted = 0
        self._rooms: dict[str, int] = {}
        self._full: list[str] = []
        self._sequence = 0
        self._received: set[int] = set()
        self._acked = 0
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._unsure: dict[int, list[JobId]] = {}
        self._news = False
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._open = False
        self._left = asyncio.Event()
        self.drain_asked = asyncio.Event()
        self.drain_seconds = 0.0
        """How long a drain that is asked for may take; 0: as this worker was told at its start."""
        self.node_memory: list[int] = []
        """To be told with the next call: what is used of the node's memory, and what that has."""

    def add_outcomes(self, outcomes: list[Outcome]) -> None:
        """Runs ended; the queue is told at once, or with those that end soon after."""
        if not self._outcomes:
            self._not_before = asyncio.get_running_loop().time() + GATHER
        self._outcomes += outcomes
        self._tell()

    def add_progress(self, job_id: JobId, progress: Progress) -> None:
        """A running job says how far it is."""
        self._progress[job_id] = progress
        self._tell()

    def add_saves(self, saves: list[Save]) -> None:
        """Running jobs have checkpoints for the queue."""
        self._saving.add(saves)
        if self._saves_timer is None:
            loop = asyncio.get_running_loop()
            self._saves_timer = loop.call_later(GATHER_SAVES, self._tell_saves)

    def add_grown(self, grown: list[tuple[str, int]]) -> None:
        """Executors were replaced for the sake of these job types, which took so many bytes."""
        if grown:
            self._grown += grown
            self._tell()

    def _tell_saves(self) -> None:
        self._saves_timer = None
        if self._saving:
            self._tell()

    def notice_running(self) -> None:
        """Called now and then: tell the queue of what it does not know, above all of jobs that run.

        If this worker vanishes, those are losses and the others are not.
        """
        if any(job_id not in self._told for job_id in self._hands.running()):
            self._tell()
        elif not self._wanted and self._hands.room():
            self._tell()  # its executors can run jobs again
        elif self._has_new_room():
            self._tell()

    def _has_new_room(self) -> bool:
        """Whether executors in Ray can take jobs of which the queue thinks that they cannot."""
        now_full = self._hands.full()
        if any(place not in now_full for place in self._full):
            return True
        return any(n and not self._rooms.get(kind) for kind, n in self._hands.rooms().items())

    async def run(self) -> None:
        """Exchange until `leave`."""
        await self._register()
        self._open = True
        self._pump()
        await self._left.wait()

    async def leave(self) -> None:
        """Tell the queue the last outcomes and give back the rest; returns when it knows."""
        self._open = False
        self._left.set()
        last = 0
        while self._outcomes or self._calls or not last:
            if len(self._calls) < 2 and last not in self._calls:
                self._send(0.0)  # which also ends a call that the queue holds
                last = self._sequence
            await asyncio.wait(list(self._calls.values()), return_when=asyncio.FIRST_COMPLETED)

    def _tell(self) -> None:
        self._news = True
        self._pump()

    def _pump(self) -> None:
        """Make the next call if it is time: one is always out, a second one only with news."""
        if not self._open or len(self._calls) > 1 or (self._calls and not self._news):
            return
        wait = self._not_before - asyncio.get_running_loop().time()
        if wait > 0 and not self._is_ripe():
            self._pump_later(wait)
        else:
            self._send(HOLD)

    def _is_ripe(self) -> bool:
        """Whether what there is to say is worth a call, which costs as much as many jobs."""
        return bool(self._outcomes) and len(self._outcomes) * RIPE >= len(self._hands.held())

    def _pump_later(self, wait: float) -> None:
        def pump() -> None:
            self._timer = None
            self._pump()

        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, pump)

    def _send(self, hold: float) -> None:
        self._sequence += 1
        self._news = False
        outcomes = self._portion()
        saves = self._saving.take(self._sequence, outcomes, CALL_BYTES)
        self._news = self._news or bool(self._saving)
        progress, self._progress = self._progress, {}
        grown, self._grown = self._grown, []
        running = self._hands.running() if self._open else []
        self._wanted = self._hands.room() if self._open else 0
        self._rooms = self._hands.rooms() if self._open else {}
        self._full = self._hands.full()
        self._told = set(running)
        memory, self.node_memory = self.node_memory, []
        request = WorkRequest(
            self._info.id,
            self._sequence,
            self._acked,
            outcomes,
            self._hands.held(),
            running,
            self._wanted,
            hold,
            self._unsettled(),
            list(progress.items()),
            self._left.is_set(),
            saves,
            self._rooms,
            self._full,
            memory,
            self._vitals(),
            grown,
        )
        self._unsure[request.sequence] = [outcome.id for outcome in outcomes]
        task = asyncio.get_running_loop().create_task(self._exchange(request))
        self._calls[request.sequence] = task
        task.add_done_callback(lambda _: self._returned(request.sequence))

    def _unsettled(self) -> list[JobId]:
        """Jobs that are no longer in hand and whose outcomes the queue may not have yet."""
        ids = [job_id for sent in self._unsure.values() for job_id in sent]
        ids.extend(outcome.id for outcome in self._outcomes)
        return ids

    def _portion(self) -> list[Outcome]:
        """As many outcomes as go into one call, and at least one; the rest is news."""
        sizes = accumulate(len(outcome.result) + OUTCOME_BYTES for outcome in self._outcomes)
        fitting = max(1, sum(1 for size in sizes if size <= CALL_BYTES))
        taken, self._outcomes = self._outcomes[:fitting], self._outcomes[fitting:]
        self._news = bool(self._outcomes)
        return taken

    def _returned(self, sequence: int) -> None:
        del self._calls[sequence]
        del self._unsure[sequence]
        self._saving.answered(sequence)
        self._pump()

    async def _exchange(self, request: WorkRequest) -> None:
        data = encode(request)
        for attempt in count():
            try:
                self._take(decode(await self._call("work", data), WorkReply))
            except UnknownSession:
                if not await self._register():
                    return
            except Exception as error:
                # Whatever it is: outcomes that are not told would be run again.
                log.warning("exchange %d: %r", request.sequence, error)
            else:
                return
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])

    def _take(self, reply: WorkReply) -> None:
        if reply.stale:
            say(log, "outcomes_late", count=len(reply.stale), worker=self._info.id)
        if reply.lost:
            # The lease of these is no longer ours: whoever has it now will run them.
            self._hands.cancel(reply.lost)
        if reply.cancel:
            self._hands.cancel(reply.cancel)
        if reply.grants:
            # The first outcome would overtake a call made now.
            self._not_before = asyncio.get_running_loop().time() + FIRST
            self._hands.submit(reply.options, reply.grants)
        if reply.drain:
            self.drain_seconds = reply.drain_seconds
            self.drain_asked.set()
        # Last: a call that is made meanwhile must not confirm jobs that are not in hand yet.
        self._confirm(reply.sequence)

    def _confirm(self, sequence: int) -> None:
        self._received.add(sequence)
        while self._acked + 1 in self._received:
            self._acked += 1
            self._received.remove(self._acked)

    async def _register(self) -> bool:
        """Say who this is until the queue takes it; False: it does not, and this worker leaves."""
        for attempt in count():
            try:
                leased = decode(await self._call("register", encode(self._info)), list[JobId])
            except NodeFenced as error:
                # Whatever is in hand here runs elsewhere now.
                log.warning("cannot register: %s", error)
                self._hands.cancel(self._hands.held())
                if self._left.is_set():
                    return False
            except TaskQueueError as error:
                log.warning("cannot register: %s", error)
            else:
                ours = set(leased)
                self._hands.cancel([i for i in self._hands.held() if i not in ours])
                return True
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
        raise AssertionError("unreachable")
