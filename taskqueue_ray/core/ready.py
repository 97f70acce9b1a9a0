"""Which job is next: queue -> priority -> lane -> first in, first out.

The index is derived from the jobs and never stored. `pick` only reads; entries of jobs that have
moved on stay where they are until they reach the head of their lane, where `trim` drops them, so
no move ever searches a lane.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush, merge
from itertools import islice
from typing import Any, TypeVar

from taskqueue_ray.core.model import PENDING, Job, Lane

_Entry = tuple[int, int, Job]
E = TypeVar("E", bound=tuple[Any, ...])


class LaneQueue:
    """Jobs of one queue, priority and lane, by age.

    New jobs come in at the end of `fifo`, which is therefore in the order of their ordinals. Jobs
    that come back (released, retried) are older than the end; they wait in the heap `returned`.
    """

    __slots__ = ("fifo", "returned")

    def __init__(self) -> None:
        self.fifo: deque[Job] = deque()
        self.returned: list[_Entry] = []

    def add(self, job: Job) -> None:
        fifo = self.fifo
        if not fifo or job.ordinal > fifo[-1].ordinal:
            fifo.append(job)
        else:
            # The delivery number breaks ties between entries of a job that returned twice.
            heappush(self.returned, (job.ordinal, job.delivery, job))

    def trim(self) -> None:
        """Drop entries at the heads whose job is no longer pending."""
        fifo, returned = self.fifo, self.returned
        while fifo and fifo[0].phase is not PENDING:
            fifo.popleft()
        while returned and returned[0][2].phase is not PENDING:
            heappop(returned)

    def oldest(self) -> Job | None:
        """The pending job of this lane that came in first."""
        return next(iter(self), None)

    def __iter__(self) -> Iterator[Job]:
        if not self.returned:
            yield from (job for job in self.fifo if job.phase is PENDING)
            return
        back = (entry[2] for entry in in_order(self.returned))
        last = None
        for job in merge(back, self.fifo, key=_age):
            if job.phase is PENDING and job is not last:
                last = job
                yield job


class QueueLanes:
    """The lanes of one queue, by priority, highest first."""

    __slots__ = ("levels", "priorities")

    def __init__(self) -> None:
        self.levels: dict[int, dict[Lane, LaneQueue]] = {}
        self.priorities: list[int] = []

    def lane(self, priority: int, lane: Lane) -> LaneQueue:
        level = self.levels.get(priority)
        if level is None:
            level = self.levels[priority] = {}
            self.priorities = sorted(self.levels, reverse=True)
        found = level.get(lane)
        if found is None:
            found = level[lane] = LaneQueue()
        return found

    def drop_empty(self, priority: int) -> None:
        """Forget lanes of a priority that hold nothing, so that walks stay short."""
        level = self.levels[priority]
        for key in [key for key, lane in level.items() if not lane.fifo and not lane.returned]:
            del level[key]
        if not level:
            del self.levels[priority]
            self.priorities.remove(priority)


class Ready:
    """All pending jobs, in the order in which they are to be leased."""

    __slots__ = ("queues",)

    def __init__(self) -> None:
        self.queues: dict[str, QueueLanes] = {}

    def lane_of(self, job: Job) -> LaneQueue:
        """The lane that a job belongs to, made when it is the first."""
        options = job.options
        return self.queue(options.queue).lane(options.priority, options.lane)

    def queue(self, name: str) -> QueueLanes:
        """The lanes of a queue, made when it is new."""
        found = self.queues.get(name)
        if found is None:
            found = self.queues[name] = QueueLanes()
        return found

    def add(self, job: Job) -> None:
        """A job became pending."""
        self.lane_of(job).add(job)

    def trim(self, jobs: Iterable[Job]) -> None:
        """These jobs left the pending state: tidy the heads of their lanes."""
        touched = {}
        for job in jobs:
            options = job.options
            touched[id(options)] = options
        for options in touched.values():
            lanes = self.queues.get(options.queue)
            if lanes is None:
                continue  # emptied by the options before
            level = lanes.levels.get(options.priority)
            lane = level.get(options.lane) if level else None
            if lane is not None:
                lane.trim()
                if not lane.fifo and not lane.returned:
                    lanes.drop_empty(options.priority)
                    if not lanes.levels:
                        del self.queues[options.queue]

    def pick(self, queues: tuple[str, ...], fits: Callable[[Lane], bool], want: int) -> list[Job]:
        """Up to `want` jobs of these queues (none named: all), highest priority first, then oldest.

        Only lanes that `fits` accepts are looked at, so the cost is that of the jobs returned.
        """
        sources = self._sources(queues)
        picked: list[Job] = []
        for priority in sorted({p for s in sources for p in s.priorities}, reverse=True):
            lanes = [
                lane
                for source in sources
                for key, lane in source.levels.get(priority, {}).items()
                if fits(key)
            ]
            jobs = lanes[0] if len(lanes) == 1 else merge(*lanes, key=_age)
            picked.extend(islice(jobs, want - len(picked)))
            if len(picked) == want:
                break
        return picked

    def _sources(self, queues: tuple[str, ...]) -> list[QueueLanes]:
        if not queues:
            return list(self.queues.values())
        return [self.queues[name] for name in dict.fromkeys(queues) if name in self.queues]

    def oldest(self, queue: str) -> Job | None:
        """The pending job of a queue that came in first."""
        lanes = self.queues.get(queue)
        if lanes is None:
            return None
        heads = (lane.oldest() for level in lanes.levels.values() for lane in level.values())
        return min((job for job in heads if job is not None), key=_age, default=None)


def _age(job: Job) -> int:
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
