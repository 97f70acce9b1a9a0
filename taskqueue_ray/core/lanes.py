"""The jobs of one lane, by age; and the tenants of a lane, in turn.

A job's entry stays where it is when the job moves on, until it reaches the head of its line, where
`trim` drops it; so no move ever searches a line. Reading changes nothing.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Protocol

from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.model import PENDING, Job

TENANTS = 1_000
"""Tenants of one lane whose jobs are counted; of the others each counts as one job."""

SPARE = 1_000
"""Entries of jobs that have moved on, at least, that a line bears before it looks for them."""


class Line(Protocol):
    """Jobs that stand somewhere, with those that have moved on meanwhile; as many as `len`."""

    def __iter__(self) -> Iterator[Job]: ...

    def __len__(self) -> int: ...


class LaneQueue:
    """Jobs by age.

    New jobs come in at the end of `fifo`, which is therefore in the order of their ordinals. Jobs
    that come back (released, retried, let in again) are older than the end; they wait in the heap
    `returned`, made for the first of them, where a serial number breaks ties between entries of a
    job that returned twice.
    """

    __slots__ = ("fifo", "limit", "returned", "serial")

    def __init__(self) -> None:
        self.fifo: deque[Job] = deque()
        self.returned: Heap[tuple[int, int, Job]] | None = None
        self.serial = 0
        self.limit = SPARE

    def add(self, job: Job) -> None:
        fifo = self.fifo
        if len(fifo) >= self.limit:
            fifo = self._close_ranks()
        if not fifo or job.ordinal > fifo[-1].ordinal:
            fifo.append(job)
        else:
            self.serial += 1
            if self.returned is None:
                self.returned = Heap(_is_pending, SPARE)
            self.returned.push((job.ordinal, self.serial, job))

    def _close_ranks(self) -> deque[Job]:
        """Drop entries of jobs that moved on: behind a head that waits they would gather."""
        self.fifo = deque(job for job in self.fifo if job.phase is PENDING)
        self.limit = 2 * len(self.fifo) + SPARE
        return self.fifo

    def trim(self) -> bool:
        """Drop entries at the heads whose job is no longer pending; whether nothing is left."""
        fifo = self.fifo
        while fifo and fifo[0].phase is not PENDING:
            fifo.popleft()
        if self.returned is not None and self.returned.head() is None:
            self.returned = None
        return not fifo and self.returned is None

    def head(self) -> Job | None:
        """The first, if it is at hand without a search."""
        fifo = self.fifo
        if fifo and self.returned is None and fifo[0].phase is PENDING:
            return fifo[0]
        return None

    def oldest(self) -> Job | None:
        """The pending job of this line that came in first."""
        return self.head() or next(iter(self), None)

    def __iter__(self) -> Iterator[Job]:
        if self.returned is None:
            yield from (job for job in self.fifo if job.phase is PENDING)
            return
        back = (entry[2] for entry in self.returned)
        last = None
        for job in merge(back, self.fifo, key=age):
            if job.phase is PENDING and job is not last:
                last = job
                yield job

    def __len__(self) -> int:
        return len(self.fifo) + (len(self.returned) if self.returned is not None else 0)


class Weights:
    """How many jobs a tenant has leased in one turn, by its fair key."""

    __slots__ = ("_by_key", "_others")

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        given = weights or {}
        # Whoever has least gets one job in a turn, so that no turn is in vain.
        least = min(1.0, *given.values()) if given else 1.0
        self._by_key = {key: weight / least for key, weight in given.items()}
        self._others = 1.0 / least

    def of(self, key: str) -> float:
        """1 or more; a fraction is carried over to the tenant's next turn."""
        return self._by_key.get(key, self._others)


EQUAL = Weights()
NO_KEY = frozenset(("",))
"""The one tenant of a lane whose jobs name none."""


class TenantLane:
    """The jobs of one queue, priority and lane. Those of one fair key stand in line together.

    Tenants take turns in a ring, by deficit round robin (Shreedhar and Varghese, "Efficient Fair
    Queuing using Deficit Round Robin", SIGCOMM 1995), in which every job costs the same. Who has
    nothing left loses what was carried over: turns are not saved up.
    """

    __slots__ = ("carried", "credit", "known", "ring", "rounds", "tenants", "weights")

    def __init__(self) -> None:
        self.tenants: dict[str, LaneQueue] = {}
        self.weights = EQUAL
        self.ring: deque[str] = deque()
        """Whose turn it is comes first. It may name tenants that have nothing any more."""
        self.known: set[str] = set()
        """Those in the ring."""
        self.credit = 0.0
        """What is left of the turn of the first."""
        self.carried: dict[str, float] = {}
        self.rounds = 0.0
        """See `core.rounds`."""

    @property
    def any_keys(self) -> Collection[str]:
        """A new list for the keys of jobs, where there are tenants; else the one key of all."""
        return NO_KEY if self.known == NO_KEY else []

    def line_of(self, key: str) -> LaneQueue:
        """The line of a tenant, made when it is the first."""
        line = self.tenants.get(key)
        if line is None:
            line = self.tenants[key] = LaneQueue()
            if key not in self.known:
                self._join(key)
        return line

    def trim(self, keys: Iterable[str]) -> bool:
        """Tidy the heads of these tenants' lines; whether the lane holds nothing now."""
        tenants = self.tenants
        for key in keys:
            line = tenants.get(key)
            if line is not None and line.trim():
                del tenants[key]
                self.carried.pop(key, None)
        if len(self.ring) > 2 * len(tenants) + 64:
            self._close_ranks()
        return not tenants

    def took(self, keys: Iterable[str]) -> None:
        """A job of each of these tenants was leased, in the order of `jobs`."""
        ring, tenants, credit = self.ring, self.tenants, self.credit
        for key in keys:
            if ring[0] != key:
                # Those before it had nothing that could be leased.
                ring.rotate(-ring.index(key))
                credit = self._due(key)
            credit -= 1.0
            if credit < 1.0:
                if credit > 0.0:
                    self.carried[key] = credit
                ring.rotate(-1)
                while ring[0] not in tenants and len(ring) > 1:
                    self.known.discard(ring.popleft())
                credit = self._due(ring[0])
        self.credit = credit

    def jobs(self) -> Iterator[Job]:
        """Its jobs in the order in which they are to be leased."""
        if len(self.tenants) == 1:
            for line in self.tenants.values():
                yield from line
        else:
            yield from self._in_turns()

    def _in_turns(self) -> Iterator[Job]:
        """As if each job were leased when it is given. k jobs look at few more than k tenants."""
        tenants, ahead = self.tenants, self.credit
        begun: dict[str, tuple[Iterator[Job], float]] = {}
        for key in self.ring:
            line = tenants.get(key)
            turn, ahead = ahead or self._turn(key), 0.0
            if line is None:
                continue
            if turn < 2.0 and (head := line.head()) is not None:
                yield head  # most tenants have one job in a turn: noted below, if it comes to that
                continue
            jobs = iter(line)
            for job in jobs:
                yield job
                turn -= 1.0
                if turn < 1.0:
                    break
            begun[key] = jobs, turn
        ahead = self.credit
        others = []
        for key in self.ring:
            turn, ahead = ahead or self._turn(key), 0.0
            if key in begun:
                others.append((key, *begun[key]))
            elif key in tenants:
                others.append((key, islice(tenants[key], 1, None), turn - 1.0))
        yield from self._in_more_turns(others)

    def _in_more_turns(self, others: list[tuple[str, Iterator[Job], float]]) -> Iterator[Job]:
        """Those behind, of whom each has had one turn already."""
        while others:
            again, others = others, []
            for key, jobs, left in again:
                turn = left + self.weights.of(key)
                for job in jobs:
                    yield job
                    turn -= 1.0
                    if turn < 1.0:
                        others.append((key, jobs, turn))
                        break

    def oldest(self) -> Job | None:
        """The pending job that came in first."""
        heads = (line.oldest() for line in self.tenants.values())
        return min((job for job in heads if job is not None), key=age, default=None)

    def size(self) -> int:
        """How many entries there are; of very many tenants each further one counts as one."""
        lines = list(islice(self.tenants.values(), TENANTS))
        return sum(map(len, lines)) + len(self.tenants) - len(lines)

    def _due(self, key: str) -> float:
        return (self.carried.pop(key, 0.0) if self.carried else 0.0) + self.weights.of(key)

    def _turn(self, key: str) -> float:
        return (self.carried.get(key, 0.0) if self.carried else 0.0) + self.weights.of(key)

    def _join(self, key: str) -> None:
        self.ring.append(key)
        self.known.add(key)
        if len(self.ring) == 1:
            self.credit = self.weights.of(key)

    def _close_ranks(self) -> None:
        """Drop from the ring who has nothing."""
        first = self.ring[0]
        self.ring = deque(key for key in self.ring if key in self.tenants)
        self.known = set(self.ring)
        if self.ring and self.ring[0] != first:
            self.credit = self._due(self.ring[0])


def _is_pending(entry: tuple[int, int, Job]) -> bool:
    return entry[2].phase is PENDING


def age(job: Job) -> int:
    """The order of enqueueing."""
    return job.ordinal
