"""The lines of jobs under limits that stand in one place: a queue, a priority and a lane."""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice

from taskqueue_ray.core.allowance import Allowance
from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.lanes import TenantLane, Weights
from taskqueue_ray.core.meters import MeterId
from taskqueue_ray.core.model import Job, Lane, kind_of
from taskqueue_ray.core.usage import Gate, Usage

LINES = 1_000
"""Lines of one place that are looked at when they are counted or searched."""

Spot = tuple[str, int, Lane]
"""A queue, a priority and a lane."""


class GateLine(TenantLane):
    """The jobs of one spot and one gate. `at` is the meter at which it waits; None: it is open.

    `head` is the ordinal of its first job, `stamp` tells its present entry in a heap, -1 that it is
    no more.
    """

    __slots__ = ("at", "gate", "head", "place", "stamp")

    def __init__(self, place: "Place", gate: Gate, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        self.place = place
        self.gate = gate
        self.at: MeterId | None = None
        self.head = 0
        self.stamp = 0

    @property
    def rank(self) -> tuple[int, int]:
        """By priority and age."""
        return (-self.place.spot[1], self.head)


Entry = tuple[int, int, GateLine]


def stands(entry: Entry) -> bool:
    return entry[2].stamp == entry[1]


class Place:
    """The lines of one spot. It can be merged with lanes as if it were one."""

    __slots__ = ("all", "lines", "open", "spot")

    def __init__(self, spot: Spot) -> None:
        self.spot = spot
        self.lines: dict[Gate, GateLine] = {}
        self.open: Heap[Entry] = Heap(stands)
        self.all: Heap[Entry] = Heap(stands)
        """The open ones, and those that wait at a meter."""

    def jobs(self, allowance: Allowance) -> Iterator[Job]:
        """Its jobs by age, as long as their limits allow; lines that may not go are noted."""
        kind = kind_of(self.spot[2][0])
        begun: list[tuple[int, int, GateLine, Iterator[Job], Job]] = []
        lines = iter(self.open)
        fresh = next(lines, None)
        while (fresh or begun) and allowance.has_room(kind):
            is_fresh = fresh is not None and not (begun and begun[0][0] < fresh[0])
            if is_fresh and fresh is not None:
                _, stamp, line = fresh
                fresh = next(lines, None)
                jobs = line.jobs()
                found = next(jobs, None)
            else:
                _, stamp, line, jobs, found = heappop(begun)
            if found is None or not allowance.passes(line, note=is_fresh):
                continue
            yield found
            following = next(jobs, None)
            if following is not None:
                heappush(begun, (following.ordinal, stamp, line, jobs, following))

    def oldest(self) -> Job | None:
        """The first of the line that goes first, whether or not a limit holds it."""
        head = self.all.head()
        return head[2].oldest() if head is not None else None

    def starving(self, usage: Usage, now: float) -> Job | None:
        """The first of the line that has been held longest of those that a limit holds now."""
        for _, _, line in islice(self.all, LINES):
            if not all(usage.admits(use, now) for use in line.gate):
                return line.oldest()
        return None

    def size(self) -> int:
        """How many jobs there are; of very many lines each further one counts as one job."""
        lines = list(islice(self.lines.values(), LINES))
        return sum(line.size() for line in lines) + len(self.lines) - len(lines)
