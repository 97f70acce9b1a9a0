"""Jobs in the hands of a worker: what executors that it forks and executors in Ray have in common.

Jobs wait in lines and go to executors in small portions. Whoever is told of outcomes looks at what
is held: at that moment each job must be found there, or among the outcomes. Else the queue would
take it for given back, and lease it again.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Required, TypedDict

import msgspec

from taskqueue_ray.cluster.appetite import Appetite
from taskqueue_ray.cluster.executor_slot import Charge, ExecutorSlot
from taskqueue_ray.cluster.feeding import portion
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.cluster.inquest import Inquest
from taskqueue_ray.cluster.pace import LONG, Pace, shared
from taskqueue_ray.cluster.recycling import NEVER, Growth, Recycling
from taskqueue_ray.cluster.relay import Relay
from taskqueue_ray.cluster.verdicts import Verdicts
from taskqueue_ray.cluster.waiting import Ticket, Waiting
from taskqueue_ray.cluster.watchdog import ASYNC_GRACE, charges, is_frozen
from taskqueue_ray.core.exchange import Grant, Outcome, Progress, Save
from taskqueue_ray.core.model import ExecutorKind, JobId, Options
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.executor.messages import Call, Done, Progressed, Recalled, Report, Saved

CANCEL_GRACE = 5.0
"""Seconds that a running job has to notice that it was cancelled, when it names none."""

TIMEOUT = 3600.0
"""Seconds for jobs that name no timeout."""

STUCK = 0.02
"""Seconds after which an executor that does not get on gives back what it has not begun."""

KILL_PATIENCE = 2.0
END_PATIENCE = 5.0
STOP_PATIENCE = 0.5

IN_TURN: frozenset[ExecutorKind] = frozenset(("process", "actor"))
"""Executors that are kept and run one job, or one call, after another."""

_LONGEST_PAUSE = 5.0


class Duties(TypedDict, total=False):
    """What a holder is told by its worker; see `Holder`."""

    on_outcomes: Required[Callable[[list[Outcome]], None]]
    call: Required[Callable[[str, bytes], Awaitable[bytes]]]
    on_progress: Callable[[JobId, Progress], None]
    on_saves: Callable[[list[Save]], None]
    sealer: Sealer | None
    clock: Callable[[], float]
    cancel_grace: float
    timeout: float
    recycling: Recycling


class Holder(ABC):
    """Holds leased jobs and gives their outcomes to `on_outcomes`. All on one event loop.

    Every submitted job gets exactly one outcome. `call` relays what a handler asks of the queue
    (`method`, `request`) and may raise typed errors. `on_outcomes` may be called from within any
    method here. `sealer` seals the words of failures that the worker itself finds; `clock` is
    monotonic. `timeout` and `cancel_grace` are for jobs that name none; `recycling` says when
    executors are replaced.
    """

    def __init__(
        self,
        *,
        on_outcomes: Callable[[list[Outcome]], None],
        call: Callable[[str, bytes], Awaitable[bytes]],
        on_progress: Callable[[JobId, Progress], None] = lambda _job, _progress: None,
        on_saves: Callable[[list[Save]], None] = lambda _saves: None,
        sealer: Sealer | None = None,
        clock: Callable[[], float] = time.monotonic,
        cancel_grace: float = CANCEL_GRACE,
        timeout: float = TIMEOUT,
        recycling: Recycling = NEVER,
    ) -> None:
        self._on_outcomes = on_outcomes
        self._on_progress = on_progress
        self._on_saves = on_saves
        self._verdicts = Verdicts(sealer)
        self._incidents: list[Incident] = []
        self._inquest = Inquest(self._verdicts, self._incidents.append)
        self._relay = Relay(call, self._incidents.append)
        self._clock = clock
        self._cancel_grace = cancel_grace
        self._timeout = timeout
        self._recycling = recycling
        self._numbers = 0
        self.jobs_done = 0
        """Runs that executors have ended."""
        self.restarts = 0
        """Executors that have ended, whose places others took."""
        self._pace = Pace()
        self._appetite = Appetite()
        self._pause = 0.0
        self._start_after = 0.0
        self._draining = False
        self._changed = asyncio.Event()
        self._grown: list[Growth] = []

    # --- what each has of its own ----------------------------------------------------------------

    @abstractmethod
    def _each_line(self) -> Iterable[Waiting]:
        """Where jobs wait here."""

    @abstractmethod
    def _each_slot(self) -> Iterable[ExecutorSlot]:
        """The executors, those that are coming or going included."""

    @abstractmethod
    def _line_for(self, options: Options) -> Waiting:
        """Where a job waits."""

    @abstractmethod
    def _dispatch(self, now: float) -> None:
        """Give out what waits, and start executors that are missing."""

    @abstractmethod
    def _end(self, slot: ExecutorSlot) -> None:
        """Kill an executor."""

    # --- what a worker does with it --------------------------------------------------------------

    def submit(self, options: list[Options], grants: list[Grant]) -> None:
        """Take in leased jobs, whose `options` are indexes into `options`."""
        options = [one if one.timeout else self._timed(one) for one in options]
        for grant in grants:
            its = options[grant.options]
            self._line_for(its).add(Ticket(grant, its))
        self._appetite.note(options[index] for index in {grant.options for grant in grants})
        if self._draining:
            self._release_waiting()
        else:
            self._dispatch(self._clock())

    def count(self) -> int:
        """How many jobs are in hand."""
        waiting = sum(len(line) for line in self._each_line())
        return waiting + sum(len(slot.held) for slot in self._each_slot())

    def held(self) -> list[JobId]:
        """The ids of all jobs in hand."""
        ids = [ticket.grant.id for line in self._each_line() for ticket in line]
        for slot in self._each_slot():
            ids.extend(ticket.grant.id for ticket in slot.held.values())
        return ids

    def running(self) -> list[JobId]:
        """The ids of the jobs in hand whose code runs now."""
        return [ticket.grant.id for slot in self._each_slot() for _, ticket in slot.running()]

    def pids(self) -> list[int]:
        """The process ids of the executors on this machine."""
        return [slot.pid for slot in self._each_slot() if slot.pid]

    def cancel(self, ids: list[JobId]) -> None:
        """Cancel jobs. Those that have begun are told, and killed after their grace time.

        A run that ends by itself before counts as it ended.
        """
        wanted = set(ids)
        gone: list[Ticket] = []
        for line in self._each_line():
            gone += line.remove(lambda ticket: ticket.grant.id in wanted)
        now = self._clock()
        for slot in self._each_slot():
            hit = [ticket for ticket in slot.held.values() if ticket.grant.id in wanted]
            for ticket in hit:
                ticket.cancel_by = ticket.cancel_by or now + self._grace(slot.kind, ticket.options)
            if hit:
                slot.cancel([ticket.grant.id for ticket in hit])
        self._settle([self._verdicts.cancelled(ticket) for ticket in gone])

    def give_back(self) -> None:
        """Release every job that has not begun; at once, or as soon as its executor lets go."""
        self._release_waiting()
        for slot in self._each_slot():
            if slot.held:
                slot.giving_back = True
                slot.recall()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109  # answers, raises nothing
        """Take nothing more in, give back, and wait for what runs. True when all is done."""
        self._draining = True
        self.give_back()
        return await self._until(lambda: not self.count(), timeout)

    # --- feeding ---------------------------------------------------------------------------------

    def _deal(self, slots: list[ExecutorSlot], line: Waiting, now: float) -> None:
        """Give these executors what they are to have now, the emptiest first."""
        slots.sort(key=lambda slot: len(slot.held))
        for taken, slot in enumerate(slots):
            share = -(-len(line) // (len(slots) - taken))
            if tickets := portion(slot, line, share, self._pace, self._recycling.left(slot)):
                slot.assign(tickets, now)

    def _hold_off(self, now: float) -> None:
        """An executor began nothing: the next one not at once."""
        self._pause = min(max(0.1, 2 * self._pause), _LONGEST_PAUSE)
        self._start_after = now + self._pause

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
        self.jobs_done += len(runs)
        for ordinal, outcome in runs:
            ticket = slot.settle(ordinal)
            if ticket is not None:
                slot.finished += 1
                outcomes.append(outcome)
                times.append((ticket.options.type, outcome.seconds))
        now = self._clock()
        slot.moved = now
        self._pause = 0.0
        if slot.kind in IN_TURN:
            self._pace.note(shared(times) if self._appetite.seen else times)
        self._settle(outcomes)
        self._recycle(slot, now)
        self._dispatch(now)

    def _recalled(self, slot: ExecutorSlot, report: Recalled) -> None:
        giving_back, slot.giving_back = slot.giving_back, False
        self._return(slot.recalled(report), release=giving_back)
        now = self._clock()
        self._recycle(slot, now)
        self._dispatch(now)

    def _return(
        self, tickets: list[Ticket], *, release: bool, ended: Sequence[Outcome] = ()
    ) -> None:
        """Jobs that have not begun leave an executor: to wait here again, or back to the queue.

        `ended` are outcomes that are to be told with it.
        """
        outcomes = [*ended]
        outcomes += [self._verdicts.cancelled(ticket) for ticket in tickets if ticket.cancel_by]
        others = [ticket for ticket in tickets if not ticket.cancel_by]
        if release or self._draining:
            outcomes += [self._verdicts.released(ticket) for ticket in others]
        elif others:
            # An executor has jobs of one line alone.
            self._line_for(others[0].options).put_back(others)
        self._settle(outcomes)

    def _settle(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            self._on_outcomes(outcomes)
        self._changed.set()

    def _release_waiting(self) -> None:
        tickets = [ticket for line in self._each_line() for ticket in line.take_all()]
        self._settle([self._verdicts.released(ticket) for ticket in tickets])

    # --- watching --------------------------------------------------------------------------------

    def _condemn(self, slot: ExecutorSlot, now: float) -> bool:
        """Kill an executor that is to be killed now; whether it was."""
        if slot.retired_at and now - slot.retired_at > END_PATIENCE:
            self._kill(slot, {}, now)
        elif charges(slot, now):
            # It may have ended in time and only not been heard.
            slot.drain()
            if verdict := charges(slot, now):
                self._kill(slot, verdict, now)
        elif is_frozen(slot, now):
            self._incidents.append(Incident("frozen", "an executor begins none of its jobs"))
            self._kill(slot, {}, now)
        return bool(slot.killed_at)

    def _kill(self, slot: ExecutorSlot, verdict: dict[int, Charge], now: float) -> None:
        slot.killed_at = now
        slot.charged = verdict
        self._end(slot)

    def _recycle(self, slot: ExecutorSlot, now: float) -> None:
        """Replace an executor that is worn, between two of its jobs."""
        if not slot.stays or not self._recycling.is_worn(slot, now):
            return
        self._name_grown()
        if not slot.held:
            slot.retire(now)
        elif slot.kind in IN_TURN and len(slot.held) > 1:
            slot.recall()

    def _name_grown(self) -> None:
        for one in self._recycling.take_grown():
            self._grown.append(one)
            text = (
                f"executor {one.pid} is replaced: it has grown by {one.size >> 20} MiB, most of it "
                f"with jobs of {one.type}"
            )
            self._incidents.append(Incident("recycle", text))

    def take_grown(self) -> list[Growth]:
        """Executors that were replaced for their memory since this was last asked."""
        grown, self._grown = self._grown, []
        return grown

    def _take_incidents(self) -> list[Incident]:
        incidents = self._incidents[:]
        self._incidents.clear()
        return incidents

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


def busy_for_long(slots: Iterable[ExecutorSlot], now: float) -> int:
    """How many of these run something that is not likely to end soon."""
    return sum(
        slot.kind in IN_TURN and bool(slot.held) and now - slot.moved > LONG for slot in slots
    )
