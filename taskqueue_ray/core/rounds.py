"""Tenants of one queue and priority take turns across its lines too: lanes, and limits.

A tenant's jobs may stand in several lines, and a line may have several tenants. So the lines of one
queue and priority go by start-time fair queuing (Goyal, Vin and Cheng, SIGCOMM 1996): a line that
has had fewer rounds goes first. A round of a line is a turn of each of its tenants. Where there is
one tenant, age alone decides. Queues of which one has tenants go by rounds among each other, too.
"""

from collections.abc import Collection, Iterable, Iterator
from heapq import merge

from taskqueue_ray.core.lanes import EQUAL, TenantLane, age
from taskqueue_ray.core.model import Job

Start = tuple[float, float, int]
"""In which round a job is leased, how many its line has had, and its age."""

Going = tuple[Start, Job]

ALL = ""
"""Instead of a queue: all of them."""


class Rounds:
    """How far the lines of each queue and priority are. `counted` are queues with fair keys."""

    __slots__ = ("_queues", "_reached", "counted")

    def __init__(self) -> None:
        self.counted: set[str] = set()
        self._reached: dict[tuple[str, int], float] = {}
        self._queues: dict[tuple[str, int], float] = {}

    def note(self, queue: str, key: str) -> None:
        """There is a job with this fair key."""
        if key:
            self.counted.add(queue)

    def reached(self, queue: str, priority: int) -> float:
        """The round in which the last job was leased. Who was left behind has lost its turns."""
        return self._reached.get((queue, priority), 0.0)

    def join(self, line: TenantLane, queue: str, priority: int) -> None:
        """A new line comes in behind those who wait for their turn in this round."""
        line.rounds = self.reached(queue, priority) + 1.0

    def took(self, line: TenantLane, queue: str, priority: int, count: int) -> None:
        """So many jobs of a line were leased."""
        had = self._queues.get((queue, priority), 0.0)
        self._queues[queue, priority] = self._serve(ALL, priority, had, count, 1.0)
        if queue in self.counted:
            line.rounds = self._serve(queue, priority, line.rounds, count, share(line))

    def _serve(self, queue: str, priority: int, had: float, count: int, step: float) -> float:
        reached = self.reached(queue, priority)
        had = max(had, reached) + count * step
        self._reached[queue, priority] = max(reached, had - step)
        return had

    def among_queues(self, queue: str, priority: int, jobs: Iterator[Job]) -> Iterator[Going]:
        """The jobs of a queue, each with the round in which it goes among other queues."""
        had = self._queues.get((queue, priority), 0.0)
        return _goings(jobs, had, self.reached(ALL, priority), 1.0)


def share(line: TenantLane) -> float:
    """What one job is of a round of a line."""
    if line.weights is EQUAL:
        return 1.0 / max(1, len(line.tenants))
    return 1.0 / max(1.0, sum(map(line.weights.of, line.tenants)))


def goings(line: TenantLane, reached: float) -> Iterator[Going]:
    """The jobs of a lane, each with the round in which it goes."""
    return _goings(line.jobs(), line.rounds, reached, share(line))


def _goings(jobs: Iterator[Job], had: float, reached: float, step: float) -> Iterator[Going]:
    begun = max(had, reached)
    for number, job in enumerate(jobs):
        yield (begun + number * step, had + number * step, job.ordinal), job


def by_rounds(lines: Iterable[Iterator[Going]]) -> Iterator[Job]:
    """The jobs of several lines."""
    return (job for _, job in merge(*lines))


def by_age(lines: Iterable[Iterator[Job]]) -> Iterator[Job]:
    """The same where there is one tenant."""
    return merge(*lines, key=age)


def are_several(tenants: Iterable[Collection[str]]) -> bool:
    """Whether lines with these tenants have more than one altogether."""
    seen: set[str] = set()
    for some in tenants:
        if len(some) > 1:
            return True
        seen.update(some)
    return len(seen) > 1
