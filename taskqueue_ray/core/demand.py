"""What pools and the queue tell each other: how much work there is, and who is there to do it.

Counting goes by lanes, never by jobs: its cost is that of the lanes, and of some of their tenants.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from taskqueue_ray.core.exchange import WorkerInfo, WorkerView
from taskqueue_ray.core.lanes import TenantLane
from taskqueue_ray.core.leasing import fits
from taskqueue_ray.core.model import Job, shape_of
from taskqueue_ray.core.pool import PLAIN, Pool
from taskqueue_ray.core.ready import Ready
from taskqueue_ray.core.shape import Shape

TENANTS = 1_000
"""Tenants of one lane that are looked at; of the others each counts as one job."""


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
    __slots__ = ("oldest", "shape", "waiting")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.waiting = 0
        self.oldest: float | None = None


def count(
    ready: Ready, queues: tuple[str, ...], workers: Sequence[WorkerInfo], now: float
) -> dict[str, Demand]:
    """What could be leased now in these queues, by the shape of the workers that it needs.

    Jobs of a lane that none of the pool's `workers` of its shape can run are no reason for more.
    """
    shapes = {worker.shape for worker in workers}
    counts: dict[str, _Count] = {}
    for source in ready.sources(queues):
        for level in source.levels.values():
            for place, lane in level.items():
                shape = shape_of(place[0])
                if shape in shapes and not any(fits(one, place) for one in workers):
                    continue
                _add(counts, shape, lane)
    return {
        shape: Demand(one.shape, one.waiting, max(0.0, now - (one.oldest or now)))
        for shape, one in counts.items()
    }


def _add(counts: dict[str, _Count], shape: str, lane: TenantLane) -> None:
    lines = list(islice(lane.tenants.values(), TENANTS))
    jobs = [job for line in lines if (job := line.oldest()) is not None]
    if not jobs:
        return
    found = counts.get(shape)
    if found is None:
        own = jobs[0].options.shape if shape else None
        found = counts[shape] = _Count(own or PLAIN)
    found.waiting += sum(map(len, lines)) + len(lane.tenants) - len(lines)
    since = min(map(_since, jobs))
    found.oldest = since if found.oldest is None else min(found.oldest, since)


def _since(job: Job) -> float:
    """From when on a job could have been started."""
    return max(job.enqueued_at, job.due)


def has_work(ready: Ready, queues: tuple[str, ...]) -> bool:
    """Whether anything could be leased in these queues; costs a look at each."""
    return any(source.levels for source in ready.sources(queues))


def held_by_shape(workers: Iterable[WorkerView]) -> dict[str, int]:
    """How many jobs the workers of each shape have in hand."""
    held: dict[str, int] = {}
    for one in workers:
        held[one.info.shape] = held.get(one.info.shape, 0) + one.held
    return held
