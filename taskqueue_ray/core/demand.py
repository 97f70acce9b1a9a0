"""What pools and the queue tell each other: how much work there is, and who is there to do it.

Counting goes by lanes, never by jobs: its cost is that of the lanes, and of some of their tenants.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from taskqueue_ray.core.exchange import WorkerInfo, WorkerView
from taskqueue_ray.core.gatelines import LINES, GateLine
from taskqueue_ray.core.lanes import TENANTS, TenantLane
from taskqueue_ray.core.leasing import fits
from taskqueue_ray.core.meters import MeterId
from taskqueue_ray.core.model import Job, Lane, shape_of
from taskqueue_ray.core.pool import PLAIN, Pool
from taskqueue_ray.core.ready import Ready
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.core.usage import Usage


class Demand(msgspec.Struct, frozen=True):
    """The work of one shape in the queues of a pool.

    `oldest` is for how many seconds the first of the `waiting` has waited. `ended` and `seconds`
    count the runs of the pool's workers and their run time, and only ever grow.
    """

    shape: Shape
    waiting: int = 0
    oldest: float = 0.0
    ended: int = 0
    seconds: float = 0.0


class Staff(msgspec.Struct, frozen=True):
    """The workers of one shape in a pool, as whoever starts them sees it.

    `problem` is why one could not start, `failures` how often in a row, `retry_in` when it is tried
    again. `impossible` says that no node of the cluster can hold such a worker, `refused` what else
    keeps one from being started.
    """

    shape: str
    wanted: int = 0
    ready: int = 0
    starting: int = 0
    draining: int = 0
    problem: str = ""
    failures: int = 0
    retry_in: float = 0.0
    impossible: bool = False
    refused: str = ""


class PoolLook(msgspec.Struct, frozen=True):
    """A pool looks at the queue. `hungry`: it has no worker, and wants to hear of work at once."""

    pool: str
    queues: tuple[str, ...]
    staff: list[Staff] = []
    hungry: bool = False
    maximum: int = 0


class LookRequest(msgspec.Struct, frozen=True):
    """Who looks. `detached` ones get all stored pools; the call is held for up to `wait` seconds
    as long as hungry pools have nothing to do and no pool is changed.
    """

    looks: list[PoolLook]
    detached: bool = False
    wait: float = 0.0


class LookReply(msgspec.Struct, frozen=True):
    """The demand of each pool, by its name, and the workers of all of them."""

    demand: dict[str, list[Demand]]
    workers: list[WorkerView]
    pools: list[Pool] = []


class PoolStatus(msgspec.Struct, frozen=True):
    """A pool: as it is stored (None: it belongs to a program), and as it was last seen."""

    name: str
    queues: tuple[str, ...]
    pool: Pool | None = None
    staff: list[Staff] = []
    seen_ago: float | None = None


class _Count:
    """What is counted so far of the jobs of one shape."""

    __slots__ = ("oldest", "shape", "waiting")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.waiting = 0
        self.oldest: float | None = None

    def add(self, jobs: int, since: float) -> None:
        """So many more, of which the first could have been started since then."""
        self.waiting += jobs
        self.oldest = since if self.oldest is None else min(self.oldest, since)


def count(
    ready: Ready, queues: tuple[str, ...], workers: Sequence[WorkerInfo], now: float
) -> dict[str, Demand]:
    """What could be leased now in these queues, by the shape of the workers that it needs.

    Jobs of a lane that none of the pool's `workers` of its shape can run are no reason for more,
    nor are those that a limit holds: of jobs under limits as many count as may start.
    """
    shapes = {worker.shape for worker in workers}
    counts: dict[str, _Count] = {}

    def is_wanted(place: Lane) -> bool:
        shape = shape_of(place[0])
        return shape not in shapes or any(fits(one, place) for one in workers)

    for place, jobs, first in _lines(ready, queues, now, is_wanted):
        shape = shape_of(place[0])
        found = counts.get(shape)
        if found is None:
            found = counts[shape] = _Count((first.options.shape if shape else None) or PLAIN)
        found.add(jobs, _since(first))
    return {
        shape: Demand(one.shape, one.waiting, max(0.0, now - (one.oldest or now)))
        for shape, one in counts.items()
    }


def _lines(
    ready: Ready, queues: tuple[str, ...], now: float, is_wanted: Callable[[Lane], bool]
) -> Iterator[tuple[Lane, int, Job]]:
    """Lanes, each with how many of its jobs could be leased, and the oldest of them."""
    for source in ready.sources(queues):
        for level in source.levels.values():
            for place, lane in level.items():
                if is_wanted(place) and (first := _first(lane)) is not None:
                    yield place, lane.size(), first
    left: dict[MeterId, int] = {}
    for under in ready.places(queues):
        if is_wanted(under.spot[2]):
            for _, _, _, line in islice(under.open, LINES):
                jobs = _allowed(line, ready.usage, left, now)
                if jobs and (first := _first(line)) is not None:
                    yield under.spot[2], jobs, first


def _first(lane: TenantLane) -> Job | None:
    lines = islice(lane.tenants.values(), TENANTS)
    heads = [job for line in lines if (job := line.oldest()) is not None]
    return min(heads, key=_since, default=None)


def _allowed(line: GateLine, usage: Usage, left: dict[MeterId, int], now: float) -> int:
    """How many jobs of a line its limits let start now, which others cannot have then."""
    jobs = line.size()
    costs = [((use.name, use.key), usage.units(use)) for use in line.gate]
    for mid, units in costs:
        if mid not in left:
            left[mid] = max(0, min(usage.left(*mid, now)))
        jobs = min(jobs, left[mid] // max(1, units))
    for mid, units in costs:
        left[mid] -= jobs * units
    return jobs


def _since(job: Job) -> float:
    """From when on a job could have been started."""
    return max(job.enqueued_at, job.due)


def has_work(ready: Ready, queues: tuple[str, ...], now: float) -> bool:
    """Whether anything could be leased in these queues."""
    return any(True for _ in _lines(ready, queues, now, lambda _: True))


def held_by_shape(workers: Iterable[WorkerView]) -> dict[str, int]:
    """How many jobs the workers of each shape have in hand."""
    held: dict[str, int] = {}
    for one in workers:
        held[one.info.shape] = held.get(one.info.shape, 0) + one.held
    return held
