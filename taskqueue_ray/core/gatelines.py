"""Lines of jobs under limits: those of one queue, priority, lane and gate, the oldest first."""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice

from taskqueue_ray.core.allowance import Allowance
from taskqueue_ray.core.heaps import Heap
from taskqueue_ray.core.lanes import TenantLane, Weights
from taskqueue_ray.core.meters import NEVER, MeterId
from taskqueue_ray.core.model import Job, Lane, kind_of
from taskqueue_ray.core.rounds import Going, Rounds, Start, share
from taskqueue_ray.core.usage import Gate, Usage

LINES = 1_000
"""Lines of one place that are looked at when they are counted or searched."""

Spot = tuple[str, int, Lane]
"""A queue, a priority and a lane."""


LAST: Start = (NEVER, NEVER, 0)


class GateLine(TenantLane):
    """The jobs of one spot and one gate. `at` is the meter at which it waits; None: it is open.

    `head` is the ordinal of its first job, `turn` how many rounds it has had where there are
    tenants, `stamp` tells its present entry in a heap, -1 that it is no more.
    """

    __slots__ = ("at", "gate", "head", "place", "stamp", "turn")

    def __init__(self, place: "Place", gate: Gate, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        self.place = place
        self.gate = gate
        self.at: MeterId | None = None
        self.head = 0
        self.turn = 0.0
        self.stamp = 0

    @property
    def rank(self) -> tuple[int, float, int]:
        """By priority, rounds and age."""
        return (-self.place.spot[1], self.turn, self.head)


Entry = tuple[float, int, int, GateLine]
"""How many rounds a line has had (0 where there are no tenants), its head, its stamp, itself."""


def stands(entry: Entry) -> bool:
    """Whether an entry is the present one of its line."""
    return entry[3].stamp == entry[2]


class Place:
    """The lines of one spot. It can be merged with lanes as if it were one."""

    __slots__ = ("all", "keys", "lines", "open", "rounds", "spot")

    def __init__(self, spot: Spot, rounds: Rounds) -> None:
        self.spot = spot
        self.rounds = rounds
        self.lines: dict[Gate, GateLine] = {}
        self.open: Heap[Entry] = Heap(stands)
        self.all: Heap[Entry] = Heap(stands)
        """The open ones, and those that wait at a meter, by age."""
        self.keys: set[str] = set()
        """Two of the fair keys of jobs that have stood here."""

    def goings(self, allowance: Allowance, reached: float) -> Iterator[Going]:
        """Its jobs, as long as their limits allow, by age; where there are tenants, by rounds that
        their lines have had. Lines that may not go are noted.
        """
        kind = kind_of(self.spot[2][0])
        begun: list[tuple[Start, int, GateLine, Iterator[Job], Job]] = []
        lines = iter(self.open)
        fresh = next(lines, None)
        while (fresh or begun) and allowance.has_room(kind):
            start = _start(fresh, reached) if fresh is not None else LAST
            is_fresh = fresh is not None and not (begun and begun[0][0] < start)
            if is_fresh and fresh is not None:
                _, _, stamp, line = fresh
                fresh = next(lines, None)
                jobs = line.jobs()
                found = next(jobs, None)
            else:
                start, stamp, line, jobs, found = heappop(begun)
            if found is None or not allowance.passes(line, note=is_fresh):
                continue
            yield (*start[:2], found.ordinal), found
            following = next(jobs, None)
            if following is not None:
                heappush(begun, (self._next(start, line, following), stamp, line, jobs, following))

    def _next(self, start: Start, line: GateLine, job: Job) -> Start:
        """When the following job of a line goes."""
        step = share(line) if self.takes_turns else 0.0
        return (start[0] + step, start[1] + step, job.ordinal)

    @property
    def takes_turns(self) -> bool:
        """Whether the queue has tenants."""
        return self.spot[0] in self.rounds.counted

    def oldest(self) -> Job | None:
        """The first of the oldest line, whether or not a limit holds it."""
        head = self.all.head()
        return head[3].oldest() if head is not None else None

    def starving(self, usage: Usage, now: float) -> Job | None:
        """The first of the line that has been held longest of those that a limit holds now."""
        for _, _, _, line in islice(self.all, LINES):
            if not all(usage.admits(use, now) for use in line.gate):
                return line.oldest()
        return None

    def size(self) -> int:
        """How many jobs there are; of very many lines each further one counts as one job."""
        lines = list(islice(self.lines.values(), LINES))
        return sum(line.size() for line in lines) + len(self.lines) - len(lines)


def _start(entry: Entry, reached: float) -> Start:
    return (max(entry[0], reached), entry[0], entry[1])
