"""The jobs of one lane, by age; and the tenants of a lane, in turn.

A job's entry stays where it is when the job moves on, until it reaches the head of its line, where
`trim` drops it; so no move ever searches a line. Reading changes nothing.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace, merge
from typing import Any, Protocol, TypeVar

from taskqueue_ray.core.model import PENDING, Job

E = TypeVar("E", bound=tuple[Any, ...])
FORGET = 4096
"""Tenants that are remembered for having had more than their turn, before it is tidied."""


class Line(Protocol):
    """Jobs that stand somewhere, with those that have moved on meanwhile; as many as `len`."""

    def __iter__(self) -> Iterator[Job]: ...

    def __len__(self) -> int: ...


class LaneQueue:
    """Jobs by age.

    New jobs come in at the end of `fifo`, which is therefore in the order of their ordinals. Jobs
    that come back (released, retried, let in again) are older than the end; they wait in the heap
    `returned`, where a serial number breaks ties between entries of a job that returned twice.
    """

    __slots__ = ("fifo", "returned", "serial")

    def __init__(self) -> None:
        self.fifo: deque[Job] = deque()
        self.returned: list[tuple[int, int, Job]] = []
        self.serial = 0

    def add(self, job: Job) -> None:
        fifo = self.fifo
        if not fifo or job.ordinal > fifo[-1].ordinal:
            fifo.append(job)
        else:
            self.serial += 1
            heappush(self.returned, (job.ordinal, self.serial, job))

    def trim(self) -> None:
        """Drop entries at the heads whose job is no longer pending."""
        fifo, returned = self.fifo, self.returned
        while fifo and fifo[0].phase is not PENDING:
            fifo.popleft()
        while returned and returned[0][2].phase is not PENDING:
            heappop(returned)

    def oldest(self) -> Job | None:
        """The pending job of this line that came in first."""
        return next(iter(self), None)

    def __iter__(self) -> Iterator[Job]:
        if not self.returned:
            yield from (job for job in self.fifo if job.phase is PENDING)
            return
        back = (entry[2] for entry in in_order(self.returned))
        last = None
        for job in merge(back, self.fifo, key=age):
            if job.phase is PENDING and job is not last:
                last = job
                yield job

    def __len__(self) -> int:
        return len(self.fifo) + len(self.returned)


class Shares:
    """How far each tenant of a queue is with its turns (stride scheduling).

    A turn costs a tenant 1 / weight of a pass, and who has the lowest pass is next. A tenant that
    comes back after a while begins where the others are: turns are not saved up. Waldspurger and
    Weihl, "Stride Scheduling", MIT/LCS/TM-528, 1995.
    """

    __slots__ = ("clock", "passes", "weights")

    def __init__(self) -> None:
        self.clock = 0.0
        self.passes: dict[str, float] = {}
        self.weights: dict[str, float] = {}

    def pass_of(self, key: str) -> float:
        """Where a tenant is, and no further back than where its turn is now."""
        return max(self.passes.get(key, 0.0), self.clock)

    def stride(self, key: str) -> float:
        """What one turn costs a tenant."""
        return 1.0 / self.weights.get(key, 1.0)

    def charge(self, key: str) -> None:
        """The tenant had a turn."""
        now = self.pass_of(key)
        self.clock = now
        self.passes[key] = now + self.stride(key)
        if len(self.passes) > FORGET:
            ahead = {one: at for one, at in self.passes.items() if at > now}
            self.passes = ahead if len(ahead) * 2 <= FORGET else self.passes


class TenantLane:
    """The jobs of one queue, priority and lane. Those of one fair key stand in line together."""

    __slots__ = ("tenants", "turns")

    def __init__(self) -> None:
        self.tenants: dict[str, LaneQueue] = {}
        self.turns: list[tuple[float, int, str]] = []
        """A heap of (pass, ordinal, tenant). An entry's pass may be behind the tenant's."""

    def line_of(self, job: Job, shares: Shares | None) -> LaneQueue:
        """The line of a job's tenant, made when it is the first."""
        key = job.conditions.fair_key
        line = self.tenants.get(key)
        if line is None:
            line = self.tenants[key] = LaneQueue()
            begin = 0.0 if shares is None else shares.pass_of(key)
            heappush(self.turns, (begin, job.ordinal, key))
        return line

    def trim(self, key: str) -> bool:
        """Tidy the head of a tenant's line; whether the lane holds nothing now."""
        line = self.tenants.get(key)
        if line is not None:
            line.trim()
            if not line:
                del self.tenants[key]
        return not self.tenants

    def tidy(self, shares: Shares) -> None:
        """Bring the entries at the head of the heap up to date."""
        turns = self.turns
        while turns:
            begin, ordinal, key = turns[0]
            if key not in self.tenants:
                heappop(turns)
            elif begin < (now := shares.pass_of(key)):
                heapreplace(turns, (now, ordinal, key))
            else:
                break
        if len(turns) > 2 * len(self.tenants) + 64:
            self._rebuild(shares)

    def _rebuild(self, shares: Shares) -> None:
        first = {key: ordinal for _, ordinal, key in reversed(self.turns)}
        self.turns = [(shares.pass_of(key), first.get(key, 0), key) for key in self.tenants]
        heapify(self.turns)

    def jobs(self, shares: Shares | None) -> Iterator[Job]:
        """Its jobs in the order in which they are to be leased."""
        if shares is None or len(self.tenants) == 1:
            for line in self.tenants.values():
                yield from line
        else:
            yield from self._in_turns(shares)

    def _in_turns(self, shares: Shares) -> Iterator[Job]:
        """As if each job were leased when it is given: k jobs touch no more than k tenants."""
        waiting = in_order(self.turns)
        begun: list[tuple[float, int, str, Iterator[Job]]] = []
        seen: set[str] = set()
        entry = next(waiting, None)
        while begun or entry is not None:
            if entry is not None and (not begun or entry[:2] < begun[0][:2]):
                begin, ordinal, key = entry
                entry = next(waiting, None)
                if key not in seen and key in self.tenants:
                    seen.add(key)
                    heappush(
                        begun,
                        (max(begin, shares.pass_of(key)), ordinal, key, iter(self.tenants[key])),
                    )
                continue
            at, ordinal, key, line = heappop(begun)
            job = next(line, None)
            if job is not None:
                yield job
                heappush(begun, (at + shares.stride(key), job.ordinal, key, line))

    def oldest(self) -> Job | None:
        """The pending job that came in first."""
        heads = (line.oldest() for line in self.tenants.values())
        return min((job for job in heads if job is not None), key=age, default=None)


def age(job: Job) -> int:
    """The order of enqueueing."""
    return job.ordinal


def in_order(heap: list[E]) -> Iterator[E]:
    """The entries of a heap from the smallest up, without taking them out.

    A child is never smaller than its parent, so the next one is always among the children of
    those already given: k entries cost O(k log k), whatever the size of the heap.
    """
    frontier = [(heap[0], 0)] if heap else []
    while frontier:
        entry, index = heappop(frontier)
        yield entry
        for child in (2 * index + 1, 2 * index + 2):
            if child < len(heap):
                heappush(frontier, (heap[child], child))
