"""What the queue measures of itself, as it goes over the wire. Seconds and bytes throughout."""

from typing import Literal

import msgspec

_MOST = 1 << 52
_LAST = 1e11
"""A time that calendars still have."""


class Vitals(msgspec.Struct, frozen=True, array_like=True):
    """How a worker's processes are: it sends this along now and then.

    `memory` is resident, of the worker itself; `executors_memory` is private, of all that it
    forked; `cpu` is in percent of one core, of all together. `jobs_done` and `restarts` (executors
    that were replaced) count from its start.
    """

    memory: int = 0
    executors_memory: int = 0
    cpu: float = 0.0
    executors: int = 0
    jobs_done: int = 0
    restarts: int = 0
    started_at: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether these are numbers that can be: a worker's word may be anything."""
        numbers = (
            self.memory, self.executors_memory, self.cpu, self.executors, self.jobs_done,
            self.restarts, self.started_at,
        )  # fmt: skip
        return all(0 <= number < _MOST for number in numbers) and self.started_at < _LAST


class Quantiles(msgspec.Struct, frozen=True, array_like=True):
    """Of `count` values: percentiles within 1 % of the true value, and the largest."""

    count: int = 0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    mean: float = 0.0
    most: float = 0.0


class PerformanceView(msgspec.Struct, frozen=True):
    """What happened in a window, of one queue and type; an empty name stands for all of them.

    The counts are of runs that ended so. `busy` is how many ran at a time, on the average.
    """

    queue: str
    type: str
    completed: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    put_off: int = 0
    lost: int = 0
    busy: float = 0.0
    waiting: Quantiles = Quantiles()
    running: Quantiles = Quantiles()
    enqueued: int = 0


class FailureView(msgspec.Struct, frozen=True, array_like=True):
    """An attempt that failed lately. `follows` is what came of it: `retried` or `failed`."""

    at: float
    id: bytes
    queue: str
    type: str
    cause: str
    error_type: str
    follows: str


class PerformanceReport(msgspec.Struct, frozen=True):
    """The window that was measured, which is shorter than asked for after a start of the queue.

    `capacity` is how many executors there were, on the average.
    """

    seconds: float
    capacity: float
    rows: list[PerformanceView]
    recent: list[float] = []
    """Completed jobs in each ten seconds of the last minutes, the oldest first."""
    failures: list[FailureView] = []
    """The latest attempts that failed, the newest first."""


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """Values at or below each bound, cumulative; the last bucket is for all."""

    bounds: list[float]
    counts: list[float]
    total: float


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One value of a metric, under the values of its labels."""

    labels: tuple[str, ...]
    value: float = 0.0
    histogram: Histogram | None = None


class Family(msgspec.Struct, frozen=True, array_like=True):
    """One metric: its name, what it says, its labels, its values now."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    samples: list[Sample]
