"""The executors that a worker has in Ray: actors, kept warm, and tasks, one for each job.

They run the code of a forked executor and are held, fed, watched and judged like one; but Ray
places them. What Ray has no resources for waits here, charged with nothing, in nobody's way.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Unpack

import msgspec

from taskqueue_ray.cluster.executor_slot import ExecutorSlot
from taskqueue_ray.cluster.feeding import is_open
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
from taskqueue_ray.cluster.places import Place, Seat
from taskqueue_ray.cluster.post import Post, encode_post
from taskqueue_ray.cluster.ray_edge import Edge
from taskqueue_ray.cluster.reception import Reception
from taskqueue_ray.cluster.verdicts import Ending
from taskqueue_ray.cluster.waiting import Waiting
from taskqueue_ray.core.exchange import Outcome
from taskqueue_ray.core.model import IN_RAY, ExecutorKind, JobId, Options
from taskqueue_ray.core.shape import Shape

IDLE = 30.0
"""Seconds that an actor without jobs is kept."""

MOST_COMING = 64
"""Executors that may be asked for and not there, in all places."""


class RayExecutors(Holder):
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
        idle: float = IDLE,
        **duties: Unpack[Duties],
    ) -> None:
        super().__init__(**duties)
        self._concurrency = concurrency
        self._post = post
        self._idle = idle
        self._places: dict[str, Place] = {}
        self._where: dict[int, Place] = {}
        self._edge = edge(self._ended)
        self.reception = Reception(self._arrived)

    # --- what a worker does with it --------------------------------------------------------------

    def start(self) -> None:
        """Begin. What Ray starts comes with the first jobs for it."""
        self.reception.open()

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

    async def stop(self) -> None:
        """Kill what runs, release what is left, and end the processes. Safe to call twice."""
        self._draining = True
        self._release_waiting()
        if not self.count():
            for _, seat in self._seats():
                seat.slot.stop()
            await self._until(
                lambda: not any(seat.here for _, seat in self._seats()), STOP_PATIENCE
            )
        for place, seat in list(self._seats()):
            self._interrupt(place, seat)
        await self._until(lambda: not self._where, END_PATIENCE)
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
        return self._take_incidents()

    # --- room ------------------------------------------------------------------------------------

    def _room(self, kind: ExecutorKind, now: float) -> int:
        places = [place for place in self._places.values() if place.kind == kind]
        in_hand = sum(
            place.count() - (len(place.waiting) if place.is_full(now) else 0) for place in places
        )
        beyond = 0
        if kind == "actor":
            slots = [seat.slot for place in places for seat in place.seats.values()]
            long = busy_for_long(slots, now)
            beyond = max(0, self._concurrency - long) * self._pace.ahead()
            if self._appetite.seen:
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

    # --- lines and executors ---------------------------------------------------------------------

    def _each_line(self) -> Iterable[Waiting]:
        return [place.waiting for place in self._places.values()]

    def _each_slot(self) -> Iterable[ExecutorSlot]:
        return [seat.slot for _, seat in self._seats()]

    def _line_for(self, options: Options) -> Waiting:
        return self._place(options).waiting

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
                        self._kill(seat.slot, {}, now)
                if not place.seats:
                    del self._places[name]

    def _grow(self, place: Place, now: float) -> None:
        """Ask for executors that are missing, not more than there are jobs for."""
        if now < self._start_after:
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
        stuck_before = now - STUCK
        seats = [
            seat
            for seat in place.seats.values()
            if seat.here and seat.slot.stays and is_open(seat.slot, stuck_before)
        ]
        for seat in seats:
            if seat.far and place.waiting:
                self._feed_far(place, seat, now)
        self._deal([seat.slot for seat in seats if not seat.far], place.waiting, now)

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
        seat.here, seat.far, seat.slot.moved = True, far, now
        seat.slot.born(pid)
        if place.kind == "task":
            if place.waiting and not self._draining and seat.slot.stays:
                seat.slot.assign([place.waiting.take()], now)
                if far:
                    seat.slot.cell.mark(0, 1, now)
            seat.slot.stop()  # after this one
        self._dispatch(now)

    # --- watching --------------------------------------------------------------------------------

    def _watch(self, seat: Seat, now: float) -> None:
        slot = seat.slot
        if slot.killed_at:
            if now - slot.killed_at > KILL_PATIENCE:
                self._kill_again(seat, now)
        elif seat.here and not self._condemn(slot, now) and slot.kind == "actor":
            self._tend(seat, now)

    def _tend(self, seat: Seat, now: float) -> None:
        """Look after an actor that is well."""
        if len(seat.slot.held) > 1 and now - seat.slot.moved > STUCK:
            seat.slot.recall()
        elif seat.is_idle and now - seat.slot.moved > self._idle:
            seat.slot.retire(now)
        else:
            self._recycle(seat.slot, now)

    def _end(self, slot: ExecutorSlot) -> None:
        self._edge.kill(slot.number)

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
        self.restarts += slot.kind == "actor"  # a task ends with its job
        outcomes = self._inquest.outcomes(slot, remains, ending, now)
        if not slot.killed_at and not slot.cell.latest():
            outcomes += self._miscarried(place, seat, ending, now)
        slot.held.clear()
        self._close(seat)
        self._return(remains.fresh, release=slot.giving_back, ended=outcomes)
        self._dispatch(now)

    def _miscarried(self, place: Place, seat: Seat, ending: Ending, now: float) -> list[Outcome]:
        """It ended and had begun nothing: not again at once; and not at all where Ray refuses."""
        if seat.here and ending.name == "ended":
            return []
        self._incidents.append(Incident("ray", f"an executor did not come up: {ending.words}"))
        if ending.unfit and place.waiting:
            return [self._verdicts.died(place.waiting.take(), 0.0, ending)]
        self._hold_off(now)
        return []

    def _interrupt(self, place: Place, seat: Seat) -> None:
        """End it for reasons of the worker's own: nobody is charged."""
        self._edge.kill(seat.slot.number)
        seat.slot.drain()
        remains = seat.slot.remains()
        seat.slot.killed_at = self._clock()
        seat.slot.held.clear()
        interrupted = self._inquest.interrupted(remains)
        self._return(remains.fresh, release=True, ended=interrupted)

    def _close(self, seat: Seat) -> None:
        self.reception.forget(seat.token)
        seat.slot.close()

    # --- the rest --------------------------------------------------------------------------------

    def _seats(self) -> Iterator[tuple[Place, Seat]]:
        for place in self._places.values():
            for seat in place.seats.values():
                yield place, seat


def _print(_job: JobId | None, line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201  # nothing comes this way: Ray has their output
