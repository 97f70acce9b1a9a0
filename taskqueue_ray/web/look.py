"""One look at the queue, and the looks of the last minutes as points of charts. No I/O here."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from taskqueue_ray.core.lifecycle import FINAL, JobState
from taskqueue_ray.core.model import QueueSettings
from taskqueue_ray.sdk.alerts import AlertRecord
from taskqueue_ray.sdk.performance import Performance
from taskqueue_ray.sdk.queues import PauseRecord
from taskqueue_ray.sdk.records import QueueRecord, WorkerRecord

POINTS = 900
QUEUES = 200
"""Queues whose points are kept one by one, the largest."""
SMOOTH = 5
"""Looks over which the rates of charts are taken, so that their lines are calm."""
RATE_OVER = 15.0
"""Seconds over which the rates of tables are taken."""


class Rare(NamedTuple):
    """What is looked at more seldom, since it costs the queue more or changes less often."""

    at: float
    firing: tuple[AlertRecord, ...] = ()
    performance: Performance | None = None


NOT_YET = Rare(0.0)


class Look(NamedTuple):
    """What the queue was at a time."""

    at: float
    queues: tuple[QueueRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
    pauses: tuple[PauseRecord, ...] = ()
    settings: Mapping[str, QueueSettings] = MappingProxyType({})
    rare: Rare = NOT_YET

    def count(self, *states: JobState) -> int:
        """Jobs of all queues that are in one of these states."""
        return sum(queue.counts[state] for queue in self.queues for state in states)

    @property
    def oldest(self) -> float | None:
        """How long the oldest ready job of a queue that is not paused has waited, in seconds."""
        paused = self.paused_queues
        waits = [
            one.oldest_waiting.timestamp()
            for one in self.queues
            if one.oldest_waiting and one.queue not in paused
        ]
        return max(0.0, self.at - min(waits)) if waits else None

    @property
    def firing(self) -> list[AlertRecord]:
        """Alerts that fire and are not muted: who mutes one knows of it."""
        return [one for one in self.rare.firing if one.muted_until is None]

    @property
    def slots(self) -> int:
        """Jobs that the workers can run at a time."""
        return sum(worker.concurrency for worker in self.workers)

    @property
    def busy(self) -> int:
        """Jobs that they run now."""
        return sum(len(worker.running) for worker in self.workers)

    @property
    def paused_queues(self) -> set[str]:
        """The queues that are paused."""
        return {pause.name for pause in self.pauses if pause.kind == "queue"}

    def queue(self, name: str) -> QueueRecord | None:
        """The counts of one queue."""
        return next((one for one in self.queues if one.queue == name), None)


class Marks(NamedTuple):
    """Counters of one queue, or of all, at a time."""

    at: float
    enqueued: int
    ended: int
    failed: int
    retries: int
    pending: int
    processing: int
    later: int
    dead: int
    busy: int = 0
    slots: int = 0


class Rates(NamedTuple):
    """Jobs per second; `errors` is the share of runs that did not complete, from 0 to 1."""

    enqueued: float = 0.0
    ended: float = 0.0
    errors: float | None = None


class Ring:
    """The marks of the last minutes, of all queues together and of each."""

    def __init__(self) -> None:
        self._all: deque[Marks] = deque(maxlen=POINTS)
        self._queues: dict[str, deque[Marks]] = {}

    def add(self, look: Look) -> None:
        """One more look."""
        self._all.append(_marks(look, look.queues, look.busy, look.slots))
        largest = sorted(look.queues, key=lambda one: -one.unfinished)[:QUEUES]
        for queue in largest:
            ring = self._queues.setdefault(queue.queue, deque(maxlen=POINTS))
            ring.append(_marks(look, (queue,)))
        gone = self._queues.keys() - {queue.queue for queue in look.queues}
        for name in gone:
            del self._queues[name]

    def rates(self, queue: str | None = None, over: float = RATE_OVER) -> Rates:
        """The rates of late."""
        ring = self._ring(queue)
        if len(ring) < 2:
            return Rates()
        last = ring[-1]
        first = ring[max(0, min(bisect_left(_Times(ring), last.at - over), len(ring) - 2))]
        return _rates(first, last)

    def columns(self, queue: str | None = None) -> list[list[float | None]]:
        """For a chart: times, in and out per second, pending, processing, later, dead, busy, slots.

        The first look has no rates, so it is left out.
        """
        ring = list(self._ring(queue))
        points = [_point(ring[max(0, n - SMOOTH)], ring[n]) for n in range(1, len(ring))]
        return [list(column) for column in zip(*points, strict=True)] or [[] for _ in range(10)]

    def last_point(self) -> list[float | None]:
        """The newest point of all queues."""
        if len(self._all) < 2:
            return []
        return list(_point(self._all[-min(len(self._all), SMOOTH + 1)], self._all[-1]))

    def _ring(self, queue: str | None) -> deque[Marks]:
        return self._all if queue is None else self._queues.get(queue, deque())


class _Times(Sequence[float]):
    def __init__(self, ring: deque[Marks]) -> None:
        self._ring = ring

    def __getitem__(self, index: int) -> float:  # type: ignore[override]  # never sliced
        return self._ring[index].at

    def __len__(self) -> int:
        return len(self._ring)


def _marks(look: Look, queues: Iterable[QueueRecord], busy: int = 0, slots: int = 0) -> Marks:
    counts = dict.fromkeys(JobState, 0)
    total = retries = 0
    for queue in queues:
        total += queue.total
        retries += queue.retries
        for state, count in queue.counts.items():
            counts[state] += count
    return Marks(
        look.at, total, sum(counts[state] for state in FINAL), counts[JobState.FAILED], retries,
        counts[JobState.PENDING], counts[JobState.PROCESSING],
        counts[JobState.SCHEDULED] + counts[JobState.BLOCKED], counts[JobState.FAILED], busy, slots,
    )  # fmt: skip


def _rates(first: Marks, last: Marks) -> Rates:
    seconds = max(last.at - first.at, 1e-3)
    # Purges and redrives take away from what is counted: no rate is below zero for that.
    enqueued, ended, failed, retries = (
        max(0, getattr(last, name) - getattr(first, name))
        for name in ("enqueued", "ended", "failed", "retries")
    )
    runs = ended + retries
    errors = (failed + retries) / runs if runs else None
    return Rates(enqueued / seconds, ended / seconds, errors)


def _point(first: Marks, last: Marks) -> tuple[float | None, ...]:
    rates = _rates(first, last)
    return (
        round(last.at, 1), round(rates.enqueued, 2), round(rates.ended, 2),
        None if rates.errors is None else round(100 * rates.errors, 1),
        last.pending, last.processing, last.later, last.dead, last.busy, last.slots,
    )  # fmt: skip
