"""The executors that a worker has in Ray: actors, kept warm, and tasks, one for each job.

They run the code of a forked executor and are held, fed, watched and judged like one; but Ray
places them. What Ray has no resources for waits here, charged with nothing, in nobody's way.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain

import msgspec

from taskqueue_ray.cluster.appetite import Appetite
from taskqueue_ray.cluster.executor_slot import Charge, ExecutorSlot
from taskqueue_ray.cluster.executors import CANCEL_GRACE, TIMEOUT
from taskqueue_ray.cluster.feeding import is_open, portion
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.cluster.inquest import Inquest
from taskqueue_ray.cluster.pace import LONG, Pace, shared
from taskqueue_ray.cluster.places import Place, Seat
from taskqueue_ray.cluster.post import Post, encode_post
from taskqueue_ray.cluster.ray_edge import Edge
from taskqueue_ray.cluster.reception import Reception
from taskqueue_ray.cluster.recycling import NEVER, Recycling
from taskqueue_ray.cluster.relay import Relay
from taskqueue_ray.cluster.verdicts import Ending, Verdicts
from taskqueue_ray.cluster.waiting import Ticket
from taskqueue_ray.cluster.watchdog import charges, is_frozen
from taskqueue_ray.core.exchange import Grant, Outcome, Progress, Save
from taskqueue_ray.core.model import IN_RAY, ExecutorKind, JobId, Options
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.executor.messages import Call, Done, Progressed, Recalled, Report, Saved

IDLE = 30.0
"""Seconds that an actor without jobs is kept."""

MOST_COMING = 64
"""Executors that may be asked for and not there, in all places."""

_STUCK = 0.02  # an executor that did not get on for so long gives back what it has not begun
_KILL_PATIENCE = 2.0
_END_PATIENCE = 5.0
_STOP_PATIENCE = 0.5
_LONGEST_PAUSE = 5.0


class RayExecutors:
    """Runs leased jobs in Ray; to its owner what `Executors` is, with `rooms` by kind.

    `concurrency` bounds the executors of each kind that are there; those that Ray has no resources
    for do not count. `edge` makes what starts them, given whom to tell of their ends; `post` is
    what each is told, but for the address and its token.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        post: Post,
        edge: Callable[[Callable[[int, Ending], None]], Edge],
        on_outcomes: Callable[[list[Outcome]], None],
        call: Callable[[str, bytes], Awaitable[bytes]],
        on_progress: Callable[[JobId, Progress], None] = lambda _job, _progress: None,
        on_saves: Callable[[list[Save]], None] = lambda _saves: None,
        sealer: Sealer | None = None,
        clock: Callable[[], float] = time.monotonic,
        cancel_grace: float = CANCEL_GRACE,
        timeout: float = TIMEOUT,
        idle: float = IDLE,
        recycling: Recycling = NEVER,
    ) -> None:
        self._concurrency = concurrency
        self._post = post
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
        self._idle = idle
        self._recycling = recycling
        self._places: dict[str, Place] = {}
        self._where: dict[int, Place] = {}
        self._numbers = 0
        self._pace = Pace()
        self._appetite = Appetite()
        self._pause = 0.0
        self._ask_after = 0.0
        self._draining = False
        self._changed = asyncio.Event()
        self._edge = edge(self._ended)
        self.reception = Reception(self._arrived)

    # --- what a worker does with it --------------------------------------------------------------

    def start(self) -> None:
        """Begin. What Ray starts comes with the first jobs for it."""
        self.reception.open()

    def submit(self, options: list[Options], grants: list[Grant]) -> None:
        """Take in leased jobs, whose `options` are indexes into `options`."""
        options = [one if one.timeout else self._timed(one) for one in options]
        for grant in grants:
            its = options[grant.options]
            self._place(its).waiting.add(Ticket(grant, its))
        self._appetite.note(options)
        if self._draining:
            self._release_waiting()
        else:
            self._dispatch(self._clock())

    def rooms(self) -> dict[str, int]:
        """How many more jobs of each kind it would like to have in hand.

        What waits for resources takes no room from others.
        """
        now = self._clock()
        coming = sum(len(place.coming()) for place in self._places.values())
        if self._draining or coming >= MOST_COMING:
            return dict.fromkeys(IN_RAY, 0)
        return {kind: self._room(kind, now) for kind in IN_RAY}

    def full(self) -> list[str]:
        """The places whose jobs wait for resources: no more of those."""
        now = self._clock()
        return [name for name, place in self._places.items() if place.is_full(now)]

    def count(self) -> int:
        """How many jobs are in hand."""
        return sum(place.count() for place in self._places.values())

    def held(self) -> list[JobId]:
        """The ids of all jobs in hand."""
        ids = [ticket.grant.id for place in self._places.values() for ticket in place.waiting]
        for _, seat in self._seats():
            ids.extend(ticket.grant.id for ticket in seat.slot.held.values())
        return ids

    def running(self) -> list[JobId]:
        """The ids of the jobs in hand whose code runs now."""
        return [ticket.grant.id for _, seat in self._seats() for _, ticket in seat.slot.running()]

    def pids(self) -> list[int]:
        """The process ids of the executors on this machine."""
        return [seat.slot.pid for _, seat in self._seats() if seat.slot.pid]

    def cancel(self, ids: list[JobId]) -> None:
        """Cancel jobs. Those that have begun are told, and killed after the grace time."""
        wanted = set(ids)
        gone: list[Ticket] = []
        for place in self._places.values():
            gone += place.waiting.remove(lambda ticket: ticket.grant.id in wanted)
        now = self._clock()
        for _, seat in self._seats():
            hit = [ticket for ticket in seat.slot.held.values() if ticket.grant.id in wanted]
            for ticket in hit:
                own = ticket.options.cancel_grace
                grace = self._cancel_grace if own is None else own
                ticket.cancel_by = ticket.cancel_by or now + grace
            if hit:
                seat.slot.cancel([ticket.grant.id for ticket in hit])
        self._settle([self._verdicts.cancelled(ticket) for ticket in gone])

    def give_back(self) -> None:
        """Release every job that has not begun; at once, or as soon as its executor lets go."""
        self._release_waiting()
        for _, seat in self._seats():
            if seat.slot.held:
                seat.slot.giving_back = True
                seat.slot.recall()

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
            for _, seat in self._seats():
                seat.slot.stop()
            await self._until(
                lambda: not any(seat.here for _, seat in self._seats()), _STOP_PATIENCE
            )
        for place, seat in list(self._seats()):
            self._interrupt(place, seat)
        await self._until(lambda: not self._where, _END_PATIENCE)
        await self._relay.end()
        await self.reception.close()
        self._where.clear()  # of what does not end nobody hears any more
        for place in self._places.values():
            for seat in place.seats.values():
                seat.slot.close()
            place.seats.clear()

    def tick(self, now: float) -> list[Incident]:
        """Look after everything: time limits, the dead, the idle. Returns what was noteworthy."""
        for _, seat in list(self._seats()):
            self._watch(seat, now)
        self._dispatch(now)
        incidents = self._incidents[:]
        self._incidents.clear()
        return incidents

    # --- room ------------------------------------------------------------------------------------

    def _room(self, kind: ExecutorKind, now: float) -> int:
        places = [place for place in self._places.values() if place.kind == kind]
        in_hand = sum(
            place.count() - (len(place.waiting) if place.is_full(now) else 0) for place in places
        )
        beyond = 0
        if kind == "actor":
            long = sum(
                bool(seat.slot.held) and now - seat.slot.moved > LONG
                for place in places
                for seat in place.seats.values()
            )
            beyond = max(0, self._concurrency - long) * self._pace.ahead()
            if self._appetite.seen:
                slots = [seat.slot for place in places for seat in place.seats.values()]
                lines = chain.from_iterable(place.waiting for place in places)
                beyond += self._appetite.room(slots, lines, self._concurrency, long)
        return max(0, self._concurrency + beyond - in_hand)

    def _present(self, kind: ExecutorKind, now: float) -> int:
        """The executors of a kind that count against the concurrency."""
        return sum(
            not seat.is_stuck(now)
            for place in self._places.values()
            if place.kind == kind
            for seat in place.seats.values()
        )

    # --- feeding ---------------------------------------------------------------------------------

    def _place(self, options: Options) -> Place:
        found = self._places.get(options.place)
        if found is None:
            shape = options.shape or Shape()
            found = self._places[options.place] = Place(options.executor, shape)
        return found

    def _dispatch(self, now: float) -> None:
        if self._draining:
            return
        for name, place in list(self._places.items()):
            if place.waiting:
                if place.kind == "actor":
                    self._feed(place, now)
                self._grow(place, now)
            else:
                for seat in place.coming():
                    # Nobody waits for it any more; but an actor may be of use in a moment.
                    if place.kind == "task" or seat.is_stuck(now):
                        self._kill(seat, {}, now)
                if not place.seats:
                    del self._places[name]

    def _grow(self, place: Place, now: float) -> None:
        """Ask for executors that are missing, not more than there are jobs for."""
        if now < self._ask_after:
            return
        coming = len(place.coming())
        missing = len(place.waiting) - coming - len(place.idle())
        free = self._concurrency - self._present(place.kind, now)
        if missing > 0 and (free <= 0 or place.is_full(now)):
            self._make_way(place, now)
        for _ in range(min(missing, free, self._concurrency - coming)):
            self._ask(place, now)

    def _ask(self, place: Place, now: float) -> None:
        self._numbers += 1
        loop = asyncio.get_running_loop()
        slot = ExecutorSlot(loop, self._numbers, place.kind, 0, self._report, _print)
        token = self.reception.expect(slot)
        place.seats[slot.number] = Seat(slot, token, now)
        self._where[slot.number] = place
        post = msgspec.structs.replace(self._post, address=self.reception.address, token=token)
        self._edge.start(slot.number, place.kind, place.shape, encode_post(post))

    def _make_way(self, place: Place, now: float) -> None:
        """Let go of actors that have nothing to do and may hold what others need."""
        for other in self._places.values():
            if other is not place and not other.waiting:
                for seat in other.idle():
                    seat.slot.retire(now)

    def _feed(self, place: Place, now: float) -> None:
        stuck_before = now - _STUCK
        open_seats = [
            seat
            for seat in place.seats.values()
            if seat.here and seat.slot.stays and is_open(seat.slot, stuck_before)
        ]
        open_seats.sort(key=lambda seat: len(seat.slot.held))
        for taken, seat in enumerate(open_seats):
            share = -(-len(place.waiting) // (len(open_seats) - taken))
            if not place.waiting:
                return
            if seat.far:
                self._feed_far(place, seat, now)
            else:
                left = self._recycling.left(seat.slot)
                if tickets := portion(seat.slot, place.waiting, share, self._pace, left):
                    seat.slot.assign(tickets, now)

    def _feed_far(self, place: Place, seat: Seat, now: float) -> None:
        """One at a time: what it runs cannot be seen from here, but then there is no doubt."""
        if not seat.slot.held:
            seat.slot.assign([place.waiting.take()], now)
            (ordinal,) = seat.slot.held
            seat.slot.cell.mark(0, ordinal, now)

    def _arrived(self, number: int, pid: int, far: bool) -> None:
        """An executor has come to life."""
        place = self._where.get(number)
        if place is None:
            return
        now = self._clock()
        seat = place.seats[number]
        seat.here, seat.far, seat.idle_since = True, far, now
        seat.slot.born(pid)
        if place.kind == "task":
            if place.waiting and not self._draining and seat.slot.stays:
                seat.slot.assign([place.waiting.take()], now)
                if far:
                    seat.slot.cell.mark(0, 1, now)
            seat.slot.stop()  # after this one
        self._dispatch(now)

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
        now = self._clock()
        outcomes = []
        times = []
        for ordinal, outcome in runs:
            if (ticket := slot.settle(ordinal)) is not None:
                slot.finished += 1
                outcomes.append(outcome)
                times.append((ticket.options.type, outcome.seconds))
        slot.moved = now
        self._pause = 0.0
        if slot.kind == "actor":
            self._pace.note(shared(times) if self._appetite.seen else times)
        if place := self._where.get(slot.number):
            place.seats[slot.number].idle_since = now
        self._settle(outcomes)
        self._recycle(slot, now)
        self._dispatch(now)

    def _recalled(self, slot: ExecutorSlot, report: Recalled) -> None:
        giving_back, slot.giving_back = slot.giving_back, False
        place = self._where.get(slot.number)
        self._return(place, slot.recalled(report), release=giving_back)
        self._recycle(slot, self._clock())
        self._dispatch(self._clock())

    def _return(
        self,
        place: Place | None,
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
        if release or self._draining or place is None:
            outcomes += [self._verdicts.released(ticket) for ticket in others]
        else:
            place.waiting.put_back(others)
        self._settle(outcomes)

    def _settle(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            self._on_outcomes(outcomes)
        self._changed.set()

    def _release_waiting(self) -> None:
        tickets = [t for place in self._places.values() for t in place.waiting.take_all()]
        self._settle([self._verdicts.released(ticket) for ticket in tickets])

    # --- watching --------------------------------------------------------------------------------

    def _watch(self, seat: Seat, now: float) -> None:
        slot = seat.slot
        if slot.killed_at:
            if now - slot.killed_at > _KILL_PATIENCE:
                self._kill_again(seat, now)
        elif slot.retired_at and now - slot.retired_at > _END_PATIENCE:
            self._kill(seat, {}, now)
        elif not seat.here:
            pass  # Ray has not placed it yet
        elif charges(slot, now):
            # It may have ended in time and only not been heard.
            slot.drain()
            if verdict := charges(slot, now):
                self._kill(seat, verdict, now)
        elif is_frozen(slot, now):
            self._incidents.append(Incident("frozen", "an executor begins none of its jobs"))
            self._kill(seat, {}, now)
        elif slot.kind == "actor":
            self._tend(seat, now)

    def _tend(self, seat: Seat, now: float) -> None:
        """Look after an actor that is well."""
        if len(seat.slot.held) > 1 and now - seat.slot.moved > _STUCK:
            seat.slot.recall()
        elif seat.is_idle and now - seat.idle_since > self._idle:
            seat.slot.retire(now)
        else:
            self._recycle(seat.slot, now)

    def _recycle(self, slot: ExecutorSlot, now: float) -> None:
        """Replace an actor that is worn, between two of its jobs."""
        if slot.kind != "actor" or not slot.stays or not self._recycling.is_worn(slot, now):
            return
        if not slot.held:
            slot.retire(now)
        elif len(slot.held) > 1:
            slot.recall()

    def _kill(self, seat: Seat, verdict: dict[int, Charge], now: float) -> None:
        seat.slot.killed_at = now
        seat.slot.charged = verdict
        self._edge.kill(seat.slot.number)

    def _kill_again(self, seat: Seat, now: float) -> None:
        """Ray did not get through to it: a process on this machine is killed without Ray."""
        seat.slot.killed_at = now
        self._edge.kill(seat.slot.number)
        if seat.slot.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(seat.slot.pid, signal.SIGKILL)

    def _ended(self, number: int, ending: Ending) -> None:
        """An executor has ended, or never came."""
        place = self._where.pop(number, None)
        if place is None:
            return
        now = self._clock()
        seat = place.seats[number]
        slot = seat.slot
        slot.drain()
        remains = slot.remains()
        del place.seats[number]
        outcomes = self._inquest.outcomes(slot, remains, ending, now)
        if not slot.killed_at and not slot.cell.latest():
            outcomes += self._miscarried(place, seat, ending, now)
        slot.held.clear()
        self._close(seat)
        self._return(place, remains.fresh, release=slot.giving_back, ended=outcomes)
        self._dispatch(now)

    def _miscarried(self, place: Place, seat: Seat, ending: Ending, now: float) -> list[Outcome]:
        """It ended and had begun nothing: not again at once; and not at all where Ray refuses."""
        if seat.here and ending.name == "ended":
            return []
        self._incidents.append(Incident("ray", f"an executor did not come up: {ending.words}"))
        if ending.unfit and place.waiting:
            return [self._verdicts.died(place.waiting.take(), 0.0, ending)]
        self._pause = min(max(0.1, 2 * self._pause), _LONGEST_PAUSE)
        self._ask_after = now + self._pause
        return []

    def _interrupt(self, place: Place, seat: Seat) -> None:
        """End it for reasons of the worker's own: nobody is charged."""
        self._edge.kill(seat.slot.number)
        seat.slot.drain()
        remains = seat.slot.remains()
        seat.slot.killed_at = self._clock()
        seat.slot.held.clear()
        interrupted = self._inquest.interrupted(remains)
        self._return(place, remains.fresh, release=True, ended=interrupted)

    def _close(self, seat: Seat) -> None:
        self.reception.forget(seat.token)
        seat.slot.close()

    # --- the rest --------------------------------------------------------------------------------

    def _seats(self) -> Iterator[tuple[Place, Seat]]:
        for place in self._places.values():
            for seat in place.seats.values():
                yield place, seat

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
    print(line, file=sys.stderr)  # noqa: T201  # nothing comes this way: Ray has their output
