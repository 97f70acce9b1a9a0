"""The executors of one worker: fed, watched, killed and replaced. Knows nothing of Ray.

Jobs wait here, by priority, and go to the executors in small portions, so that a long job holds
few others up; what it does hold up is recalled and given to its neighbours.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from taskqueue_ray.cluster.appetite import Appetite
from taskqueue_ray.cluster.executor_slot import Charge, ExecutorSlot, Remains
from taskqueue_ray.cluster.feeding import is_open, portion, top_up
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.cluster.inquest import Inquest
from taskqueue_ray.cluster.nursery import Nursery
from taskqueue_ray.cluster.pace import LONG, Pace, shared
from taskqueue_ray.cluster.recycling import NEVER, Recycling
from taskqueue_ray.cluster.relay import Relay
from taskqueue_ray.cluster.verdicts import Verdicts
from taskqueue_ray.cluster.waiting import Ticket, Waiting
from taskqueue_ray.cluster.watchdog import ASYNC_GRACE, charges, is_frozen
from taskqueue_ray.core.blobs import INLINE
from taskqueue_ray.core.exchange import Grant, Outcome, Progress, Save
from taskqueue_ray.core.model import ExecutorKind, JobId, Options
from taskqueue_ray.engine.payload import MAX_SIZE, Sealer
from taskqueue_ray.executor.kernel import kill_group
from taskqueue_ray.executor.messages import Call, Done, Progressed, Recalled, Report, Saved

CANCEL_GRACE = 5.0
"""Seconds that a running job has to notice that it was cancelled, when it names none."""

ASYNC_LIMIT = 500
"""Coroutines that run at a time in a worker's async executor."""

TIMEOUT = 3600.0
"""Seconds for jobs that name no timeout."""

TICK = 0.05
"""Seconds between two calls of `tick`, at most, for the promised reaction times."""

_STUCK = 0.02  # an executor that did not get on for so long gives back what it has not begun
_KILL_PATIENCE = 2.0
_END_PATIENCE = 5.0
_STOP_PATIENCE = 0.5
_LONGEST_PAUSE = 5.0


class Executors:
    """Runs leased jobs and gives their outcomes to `on_outcomes`. All on one event loop.

    Every submitted job gets exactly one outcome; `stop` releases what is left. `call` relays what
    a handler asks of the queue (`method`, `request`) and may raise typed errors. `on_outcomes`
    may be called from within any method here. The owner calls `tick` every `TICK` seconds or
    sooner. `environment` is what the executors' processes see, their keys included; `sealer`
    seals the words of failures that the worker itself finds. `clock` is monotonic.

    `timeout` and `cancel_grace` are for jobs that name none; `recycling` says when executors are
    replaced.

    >>> executors = Executors(concurrency=2, app_modules=("shop.jobs",), ...)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        concurrency: int,
        app_modules: tuple[str, ...],
        on_outcomes: Callable[[list[Outcome]], None],
        call: Callable[[str, bytes], Awaitable[bytes]],
        on_progress: Callable[[JobId, Progress], None] = lambda _job, _progress: None,
        on_saves: Callable[[list[Save]], None] = lambda _saves: None,
        on_output: Callable[[JobId | None, str], None] | None = None,
        environment: Mapping[str, str] | None = None,
        search: tuple[str, ...] = (),
        sealer: Sealer | None = None,
        clock: Callable[[], float] = time.monotonic,
        max_result: int = MAX_SIZE,
        inline: int = INLINE,
        cancel_grace: float = CANCEL_GRACE,
        async_limit: int = ASYNC_LIMIT,
        timeout: float = TIMEOUT,
        recycling: Recycling = NEVER,
    ) -> None:
        self._on_outcomes = on_outcomes
        self._on_progress = on_progress
        self._on_saves = on_saves
        self._on_output = on_output or _print
        self._verdicts = Verdicts(sealer)
        self._incidents: list[Incident] = []
        self._inquest = Inquest(self._verdicts, self._incidents.append)
        self._relay = Relay(call, self._incidents.append)
        self._clock = clock
        self._cancel_grace = cancel_grace
        self._limits: dict[ExecutorKind, int] = {"process": concurrency, "async": 1}
        self._async_limit = async_limit
        self._timeout = timeout
        self._recycling = recycling
        self._waiting: dict[ExecutorKind, Waiting] = {"process": Waiting(), "async": Waiting()}
        self._slots: dict[int, ExecutorSlot] = {}
        self._numbers = 0
        self._pace = Pace()
        self._appetite = Appetite()
        self._pause = 0.0
        self._fork_after = 0.0
        self._saw_async = False
        self._draining = False
        self._changed = asyncio.Event()
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

    def submit(self, options: list[Options], grants: list[Grant]) -> None:
        """Take in leased jobs, whose `options` are indexes into `options`."""
        process, other = self._waiting["process"], self._waiting["async"]
        options = [one if one.timeout else self._timed(one) for one in options]
        for grant in grants:
            its = options[grant.options]
            (process if its.executor == "process" else other).add(Ticket(grant, its))
        self._saw_async = self._saw_async or bool(other)
        self._appetite.note(options)
        if self._draining:
            self._release_waiting()
        else:
            self._dispatch(self._clock())

    def room(self) -> int:
        """How many more jobs it would like to have in hand.

        Many when jobs are fast, so that no executor waits for the queue, one per executor when
        they are slow, so that a late urgent job waits for little, and none behind long ones.
        """
        if self._draining or not self._nursery.ready.is_set():
            return 0
        concurrency, ahead = self._limits["process"], self._pace.ahead()
        busy = self._busy_for_long(self._clock())
        beyond = (concurrency - busy) * ahead
        if self._appetite.seen:
            line, slots = self._waiting["process"], self._slots.values()
            beyond += self._appetite.room(slots, line, concurrency, busy)
        return max(0, concurrency + beyond + self._async_target() - self.count())

    def count(self) -> int:
        """How many jobs are in hand."""
        waiting = sum(len(line) for line in self._waiting.values())
        return waiting + sum(len(slot.held) for slot in self._slots.values())

    def held(self) -> list[JobId]:
        """The ids of all jobs in hand."""
        ids = [ticket.grant.id for line in self._waiting.values() for ticket in line]
        for slot in self._slots.values():
            ids.extend(ticket.grant.id for ticket in slot.held.values())
        return ids

    def running(self) -> list[JobId]:
        """The ids of the jobs in hand whose code runs now."""
        return [ticket.grant.id for slot in self._slots.values() for _, ticket in slot.running()]

    @property
    def server_pid(self) -> int:
        """The process id of the fork server, 0 when there is none now."""
        return self._nursery.pid

    def pids(self) -> list[int]:
        """The process ids of the executors."""
        return [slot.pid for slot in self._slots.values() if slot.pid]

    def cancel(self, ids: list[JobId]) -> None:
        """Cancel jobs. Those that have begun are told, and killed after their grace time.

        A run that ends by itself before counts as it ended.
        """
        wanted = set(ids)
        gone: list[Ticket] = []
        for line in self._waiting.values():
            gone += line.remove(lambda ticket: ticket.grant.id in wanted)
        now = self._clock()
        for slot in self._slots.values():
            hit = [ticket for ticket in slot.held.values() if ticket.grant.id in wanted]
            for ticket in hit:
                ticket.cancel_by = ticket.cancel_by or now + self._grace(slot.kind, ticket.options)
            if hit:
                slot.cancel([ticket.grant.id for ticket in hit])
        self._settle([self._verdicts.cancelled(ticket) for ticket in gone])

    def give_back(self) -> None:
        """Release every job that has not begun; at once, or as soon as its executor lets go."""
        self._release_waiting()
        for slot in self._slots.values():
            if slot.held:
                slot.giving_back = True
                slot.recall()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109  # answers, raises nothing
        """Take nothing more in, give back, and wait for what runs. True when all is done."""
        self._draining = True
        self.give_back()
        return await self._until(lambda: not self.count(), timeout)

    async def stop(self) -> None:
        """Kill what runs, release what is left, and end the processes. Safe to call twice."""
        self._draining = True
        self._release_waiting()
        if not self.count():
            for slot in self._slots.values():
                slot.stop()
            await self._until(lambda: not self._slots, _STOP_PATIENCE)
        self._interrupt_all()
        await self._relay.end()
        await self._nursery.end(_END_PATIENCE)

    def tick(self, now: float) -> list[Incident]:
        """Look after everything: time limits, the dead, the stuck. Returns what was noteworthy."""
        self._nursery.tick(now)
        for slot in list(self._slots.values()):
            self._watch(slot, now)
        self._dispatch(now)
        self._spare_the_waiting(now)
        incidents = self._incidents[:]
        self._incidents.clear()
        return incidents

    # --- feeding ---------------------------------------------------------------------------------

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
        if now < self._fork_after:
            return
        for _ in range(missing):
            self._numbers += 1
            slots = self._async_limit if kind == "async" else 0
            slot = ExecutorSlot(
                asyncio.get_running_loop(),
                self._numbers,
                kind,
                slots,
                self._report,
                self._on_output,
            )
            self._slots[slot.number] = slot
            self._nursery.fork(slot)

    def _feed(self, kind: ExecutorKind, line: Waiting, now: float) -> None:
        stuck_before = now - _STUCK
        places = [
            slot
            for slot in self._slots.values()
            if slot.kind == kind and is_open(slot, stuck_before)
        ]
        places.sort(key=lambda slot: len(slot.held))
        for taken, slot in enumerate(places):
            share = -(-len(line) // (len(places) - taken))
            if tickets := portion(slot, line, share, self._pace, self._recycling.left(slot)):
                slot.assign(tickets, now)

    def _top_up(self, line: Waiting, now: float) -> None:
        """What can join a call that waits for company does not begin another."""
        for slot in self._slots.values():
            if tickets := top_up(slot, line, self._pace, self._recycling.left(slot)):
                slot.assign(tickets, now)

    def _busy_for_long(self, now: float) -> int:
        """How many executors run something that is not likely to end soon."""
        return sum(
            slot.kind == "process" and bool(slot.held) and now - slot.moved > LONG
            for slot in self._slots.values()
        )

    def _spare_the_waiting(self, now: float) -> None:
        """Behind long jobs alone nobody waits here: another worker may be free."""
        line = self._waiting["process"]
        if line and self._busy_for_long(now) >= self._limits["process"]:
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

    # --- what executors say ----------------------------------------------------------------------

    def _report(self, slot: ExecutorSlot, report: Report) -> None:
        match report:
            case Done(runs):
                self._done(slot, runs)
            case Recalled():
                self._recalled(slot, report)
            case Progressed(reports):
                for job_id, progress in reports:
                    self._on_progress(job_id, progress)
            case Saved(saves):
                self._on_saves(saves)
            case Call():
                self._relay.take(slot, report)

    def _done(self, slot: ExecutorSlot, runs: list[tuple[int, Outcome]]) -> None:
        outcomes = []
        times = []
        for ordinal, outcome in runs:
            ticket = slot.settle(ordinal)
            if ticket is not None:
                slot.finished += 1
                outcomes.append(outcome)
                times.append((ticket.options.type, outcome.seconds))
        if self._appetite.seen:
            times = shared(times)
        now = self._clock()
        slot.moved = now
        self._pause = 0.0
        if slot.kind == "process":
            self._pace.note(times)
        self._settle(outcomes)
        self._recycle(slot, now)
        self._dispatch(now)

    def _recalled(self, slot: ExecutorSlot, report: Recalled) -> None:
        giving_back, slot.giving_back = slot.giving_back, False
        self._return(slot, slot.recalled(report), release=giving_back)
        self._recycle(slot, self._clock())
        self._dispatch(self._clock())

    def _return(
        self,
        slot: ExecutorSlot,
        tickets: list[Ticket],
        *,
        release: bool,
        ended: Sequence[Outcome] = (),
    ) -> None:
        """Jobs that have not begun leave an executor: to wait here again, or back to the queue.

        `ended` are outcomes to tell with it: whoever is told looks at what is held, and must find
        each job there or among the outcomes.
        """
        outcomes = [*ended]
        outcomes += [self._verdicts.cancelled(ticket) for ticket in tickets if ticket.cancel_by]
        others = [ticket for ticket in tickets if not ticket.cancel_by]
        if release or self._draining:
            outcomes += [self._verdicts.released(ticket) for ticket in others]
        else:
            self._waiting[slot.kind].put_back(others)
        self._settle(outcomes)

    def _settle(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            self._on_outcomes(outcomes)
        self._changed.set()

    def _release_waiting(self) -> None:
        tickets = [ticket for line in self._waiting.values() for ticket in line.take_all()]
        self._settle([self._verdicts.released(ticket) for ticket in tickets])

    # --- watching --------------------------------------------------------------------------------

    def _watch(self, slot: ExecutorSlot, now: float) -> None:
        if slot.killed_at:
            if now - slot.killed_at > _KILL_PATIENCE and slot.number in self._slots:
                self._nursery.abandon()
            return
        if slot.retired_at and now - slot.retired_at > _END_PATIENCE:
            self._kill(slot, {}, now)
        elif charges(slot, now):
            # It may have ended in time and only not been heard.
            slot.drain()
            if verdict := charges(slot, now):
                self._kill(slot, verdict, now)
        elif is_frozen(slot, now):
            self._incidents.append(Incident("frozen", "an executor begins none of its jobs"))
            self._kill(slot, {}, now)
        elif slot.kind == "process" and now - slot.moved > _STUCK and slot.holds_up():
            slot.recall()
        else:
            self._recycle(slot, now)

    def _recycle(self, slot: ExecutorSlot, now: float) -> None:
        """Replace an executor that is worn, between two of its jobs."""
        if slot.killed_at or slot.retired_at or not self._recycling.is_worn(slot, now):
            return
        if not slot.held:
            slot.retire(now)
        elif slot.kind == "process" and len(slot.held) > 1:
            slot.recall()

    def _kill(self, slot: ExecutorSlot, verdict: dict[int, Charge], now: float) -> None:
        slot.killed_at = now
        slot.charged = verdict
        self._nursery.kill(slot)

    def _exited(self, number: int, status: int) -> None:
        if slot := self._slots.get(number):
            now = self._clock()
            if not slot.cell.latest() and not slot.killed_at:
                # It never began anything: not again at once.
                self._pause = min(max(0.1, 2 * self._pause), _LONGEST_PAUSE)
                self._fork_after = now + self._pause
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
        self._return(slot, remains.fresh, release=release, ended=outcomes)

    # --- the rest --------------------------------------------------------------------------------

    def _grace(self, kind: ExecutorKind, options: Options) -> float:
        own = options.cancel_grace
        grace = self._cancel_grace if own is None else own
        # A coroutine is stopped at its next await; a kill would hit all others beside it.
        return max(grace, ASYNC_GRACE) if kind == "async" else grace

    def _timed(self, options: Options) -> Options:
        return msgspec.structs.replace(options, timeout=self._timeout)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        return condition()


def _print(_job: JobId | None, line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201  # what jobs print goes where the worker's own does
