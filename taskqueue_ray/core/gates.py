"""Pending jobs under limits: in lanes of their own, so that a closed limit costs nobody a look.

Jobs of one queue, priority and lane that are started under the same limits and keys share a line. A
line that a closed limit holds waits at that limit's meter. When the meter opens, as many lines come
back as it has units, the oldest first; leasing looks only at those. A line waits at one meter at a
time and holds nothing of the others meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count, islice
from operator import attrgetter

from taskqueue_ray.core.gatelines import Entry, GateLine, Place, Spot, stands
from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.lanes import EQUAL, Line, Weights
from taskqueue_ray.core.meters import NEVER, MeterId
from taskqueue_ray.core.model import Job, Lane, Use
from taskqueue_ray.core.rounds import Rounds
from taskqueue_ray.core.usage import Gate, Usage


class Gates:
    """All lines under limits."""

    __slots__ = (
        "_alarms",
        "_armed",
        "_stamps",
        "_stirred",
        "_waiting",
        "claims",
        "places",
        "rounds",
        "usage",
    )

    def __init__(self, usage: Usage, rounds: Rounds | None = None) -> None:
        self.usage = usage
        self.rounds = rounds or Rounds()
        self.places: dict[str, dict[int, dict[Lane, Place]]] = {}
        self.claims: dict[MeterId, GateLine] = {}
        """Lines that want more than is left: those behind them must not take it bit by bit."""
        self._waiting: dict[MeterId, dict[Spot, Heap[Entry]]] = {}
        self._stirred: dict[MeterId, None] = {}
        """Meters of which there may be more than their waiting lines know."""
        self._alarms: list[tuple[float, MeterId]] = []
        self._armed: dict[MeterId, float] = {}
        self._stamps = count(1).__next__

    # --- jobs come and go ---------------------------------------------------------------------

    def add(self, job: Job, gate: Gate, weights: Weights = EQUAL) -> None:
        """A job is ready, as far as its limits let it."""
        options, key = job.options, job.conditions.fair_key
        place = self._place((options.queue, options.priority, options.lane))
        self.rounds.note(options.queue, key)
        if len(place.keys) < 2:
            place.keys.add(key)
        line = place.lines.get(gate)
        if line is None:
            line = place.lines[gate] = GateLine(place, gate, weights)
            line.at = self._joins(place.spot, gate)
            self.rounds.join(line, options.queue, options.priority)
        line.line_of(key).add(job)
        if not line.stamp or job.ordinal < line.head:
            self._enter(line, job.ordinal)

    def _joins(self, spot: Spot, gate: Gate) -> MeterId | None:
        """The meter at which others of the same spot wait already: a new line goes behind them."""
        for use in gate:
            if spot in self._waiting.get((use.name, use.key), ()):
                return (use.name, use.key)
        return None

    def took(self, jobs: Iterable[Job]) -> None:
        """These jobs were leased: each is a turn of its tenant."""
        for line, keys in self._lines_of(jobs):
            if self.rounds.counted:
                self.rounds.took(line, *line.place.spot[:2], len(keys))
            if len(line.ring) > 1:
                line.took(keys)
            self._tidy(line, keys)

    def trim(self, jobs: Iterable[Job]) -> None:
        """These jobs left the pending state."""
        for line, keys in self._lines_of(jobs):
            self._tidy(line, keys)

    def _lines_of(self, jobs: Iterable[Job]) -> list[tuple[GateLine, list[str]]]:
        lines: dict[int, tuple[GateLine, list[str]]] = {}
        for job in jobs:
            options = job.options
            places = self.places.get(options.queue, {}).get(options.priority, {})
            place = places.get(options.lane)
            line = place.lines.get(self.usage.gate_of(job)) if place is not None else None
            if line is not None:
                lines.setdefault(id(line), (line, []))[1].append(job.conditions.fair_key)
        return list(lines.values())

    def _tidy(self, line: GateLine, keys: list[str]) -> None:
        if line.trim(keys):
            self._drop(line)
            return
        first = next(line.jobs(), None)
        if first is not None and (first.ordinal != line.head or line.place.takes_turns):
            self._enter(line, first.ordinal)

    def _drop(self, line: GateLine) -> None:
        line.stamp = -1
        place = line.place
        del place.lines[line.gate]
        if not place.lines:
            queue, priority, lane = place.spot
            levels = self.places[queue]
            del levels[priority][lane]
            if not levels[priority]:
                del levels[priority]
            if not levels:
                del self.places[queue]
        for use in line.gate:
            if self.claims.get((use.name, use.key)) is line:
                del self.claims[use.name, use.key]
        # Others may wait behind what it might have taken.
        self.stir((use.name, use.key) for use in line.gate)

    def _place(self, spot: Spot) -> Place:
        queue, priority, lane = spot
        level = self.places.setdefault(queue, {}).setdefault(priority, {})
        found = level.get(lane)
        if found is None:
            found = level[lane] = Place(spot, self.rounds)
        return found

    def _enter(self, line: GateLine, head: int) -> None:
        """Stand a line by the age of its first job, where it waits or among the open ones."""
        line.head, line.stamp = head, self._stamps()
        line.turn = line.rounds if line.place.takes_turns else 0.0
        heap = line.place.open
        if line.at is not None:
            by_spot = self._waiting.setdefault(line.at, {})
            found = by_spot.get(line.place.spot)
            heap = by_spot[line.place.spot] = Heap(stands) if found is None else found
        heap.push((line.turn, head, line.stamp, line))
        line.place.all.push((0.0, head, line.stamp, line))

    # --- limits close and open ----------------------------------------------------------------

    def stir(self, meters: Iterable[MeterId]) -> None:
        """Something of these meters has changed."""
        for mid in meters:
            if mid in self._waiting:
                self._stirred[mid] = None

    def stir_all(self, name: str) -> None:
        """The rule of a limit has changed, or a throttle."""
        self.stir([mid for mid in self._waiting if mid[0] == name])

    def put_away(self, noted: Iterable[tuple[GateLine, Use]], now: float) -> bool:
        """Let lines wait at the limits that hold them; whether others may go instead."""
        for line, use in noted:
            line.at = (use.name, use.key)
            self._enter(line, line.head)
            self._hold(line, use, now)
            self.stir((one.name, one.key) for one in line.gate if one is not use)
        return bool(self._stirred)

    def _hold(self, line: GateLine, use: Use, now: float) -> None:
        """A line waits until there is enough for it, or behind one that does."""
        mid = (use.name, use.key)
        if self.usage.admits(use, now):
            return  # it waits behind a claim
        claim = self.claims.get(mid)
        if self.usage.left(*mid, now)[0] > 0 and (claim is None or line.rank < claim.rank):
            self.claims[mid] = line
        self._arm(mid, self.usage.opens(use, now))

    def reopen(self, now: float) -> None:
        """Bring back the lines for which there may be enough now."""
        while self._alarms and self._alarms[0][0] <= now:
            at, mid = heappop(self._alarms)
            if self._armed.get(mid) == at:
                del self._armed[mid]
                self.stir((mid,))
        while self._stirred:
            self._bring_back(self._stirred.popitem()[0], now)

    def _bring_back(self, mid: MeterId, now: float) -> None:
        by_spot = self._waiting.get(mid, {})
        left, due = self.usage.left(*mid, now)
        self.claims.pop(mid, None)
        for line in self._firsts(by_spot, max(0, min(left, due))):
            use = next(one for one in line.gate if (one.name, one.key) == mid)
            if not self.usage.admits(use, now):
                self._hold(line, use, now)
                break
            line.at = None
            self._enter(line, line.head)
        for spot in [one for one, heap in by_spot.items() if heap.head() is None]:
            del by_spot[spot]
        if not by_spot:
            self._waiting.pop(mid, None)
        elif (grows := self.usage.grows(*mid, now)) is not None:
            self._arm(mid, grows)

    def _firsts(self, by_spot: Mapping[Spot, Heap[Entry]], most: int) -> list[GateLine]:
        """So many lines of each spot, by priority and age."""
        found = [entry[3] for heap in by_spot.values() for entry in islice(heap, most)]
        return sorted(found, key=attrgetter("rank"))

    def _arm(self, mid: MeterId, at: float) -> None:
        if at < self._armed.get(mid, NEVER):
            self._armed[mid] = at
            heappush(self._alarms, (at, mid))

    def next_opening(self, now: float) -> float | None:
        """When a limit opens next that lines wait for; None: no time brings that."""
        self.reopen(now)
        while self._alarms and self._armed.get(self._alarms[0][1]) != self._alarms[0][0]:
            heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def take(self, jobs: Iterable[Job], at: float) -> None:
        """These jobs were leased."""
        self.stir(self.usage.take(jobs, at))

    def give_back(self, jobs: Iterable[Job]) -> None:
        """The leases of these jobs have ended, in whatever way."""
        self.stir(self.usage.give_back(jobs))

    def clear(self) -> list[Job]:
        """Empty all lines; who stood in them."""
        jobs = [job for line in self.lines() for job in line]
        self.places.clear()
        for parts in (self.claims, self._waiting, self._stirred, self._alarms, self._armed):
            parts.clear()
        return jobs

    # --- reading ------------------------------------------------------------------------------

    def any_open(self) -> bool:
        """Whether there is a line that leasing has to look at."""
        return any(place.open.head() is not None for place in self.all_places())

    def priorities(self, queues: Iterable[str]) -> set[int]:
        """The priorities of the jobs of some queues."""
        return {one for queue in queues for one in self.places.get(queue, ())}

    def at(self, queue: str, priority: int, fits: Callable[[Lane], bool]) -> list[Place]:
        """The places of one queue and priority that a worker fits."""
        level = self.places.get(queue, {}).get(priority)
        return [place for lane, place in level.items() if fits(lane)] if level else []

    def all_places(self, queue: str | None = None) -> Iterator[Place]:
        """All places of a queue, or of all."""
        queues = self.places if queue is None else (queue,)
        for name in queues:
            for level in self.places.get(name, {}).values():
                yield from level.values()

    def lines(self, queue: str | None = None) -> list[Line]:
        """All lines of a queue, or of all."""
        return [
            line
            for place in self.all_places(queue)
            for lane in place.lines.values()
            for line in lane.tenants.values()
        ]

    def weigh(self, queue: str, weights: Weights) -> None:
        """The weights of the fair keys of a queue are these."""
        for place in self.all_places(queue):
            for line in place.lines.values():
                line.weights = weights
