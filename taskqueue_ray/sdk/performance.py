"""`q.performance_metrics()`: how fast the queue was, in all, by queue and by job type."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from taskqueue_ray.core.metering import PerformanceReport, PerformanceView, Quantiles
from taskqueue_ray.sdk.records import moment
from taskqueue_ray.sdk.tables import RecordList


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """An attempt that failed lately. `follows` is `retried`, or `failed` for good."""

    at: datetime | None
    id: str
    queue: str
    type: str
    cause: str
    error_type: str
    follows: str

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PerformanceRecord:
    """What happened in the window, of a queue and type; an empty name stands for all.

    `throughput` and `arrivals` are completed and enqueued jobs per second (arrivals are known of
    queues, not of types). `error_rate` is the part of the runs that failed, `retry_rate` the part
    that is tried again. `busy` is how many ran at a time, `utilization` the part of all executors
    that is. `waiting` and `running` have `.p50 .p95 .p99 .mean .most` in seconds, and `.count`.
    """

    queue: str
    type: str
    throughput: float
    arrivals: float
    completed: int
    failed: int
    retried: int
    cancelled: int
    put_off: int
    lost: int
    error_rate: float
    retry_rate: float
    busy: float
    utilization: float
    waiting: Quantiles
    running: Quantiles

    @staticmethod
    def of(view: PerformanceView, seconds: float, capacity: float) -> "PerformanceRecord":
        """The record of a view."""
        runs = view.completed + view.failed + view.retried
        return PerformanceRecord(
            queue=view.queue,
            type=view.type,
            throughput=view.completed / seconds,
            arrivals=view.enqueued / seconds,
            completed=view.completed,
            failed=view.failed,
            retried=view.retried,
            cancelled=view.cancelled,
            put_off=view.put_off,
            lost=view.lost,
            error_rate=(view.failed + view.retried) / runs if runs else 0.0,
            retry_rate=view.retried / runs if runs else 0.0,
            busy=view.busy,
            utilization=min(1.0, view.busy / capacity) if capacity else 0.0,
            waiting=view.waiting,
            running=view.running,
        )

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        return {
            "queue": self.queue or "all",
            "type": self.type or None,
            "per_second": self.throughput,
            "completed": self.completed,
            "failed": self.failed,
            "retried": self.retried,
            "error_rate": self.error_rate,
            "utilization": self.utilization,
            **_columns("wait", self.waiting),
            **_columns("run", self.running),
        }


class Performance:
    """What was measured in the last `seconds`: less than asked for after a start of the queue.

    `total` is of everything; `queues` and `types` are lists, the busiest first. `executors` is how
    many there were on the average, `recent` how many jobs were completed in each of the last
    thirty stretches of ten seconds, and `failures` the latest failed attempts, the newest first.
    """

    def __init__(self, report: PerformanceReport) -> None:
        records = [PerformanceRecord.of(v, report.seconds, report.capacity) for v in report.rows]
        records.sort(key=lambda one: (-one.busy, -one.completed, one.queue, one.type))
        self.seconds = report.seconds
        self.executors = report.capacity
        self.recent = report.recent
        self.failures = RecordList(
            FailureRecord(
                moment(one.at), one.id.hex(), one.queue, one.type, one.cause, one.error_type,
                one.follows,
            )
            for one in report.failures
        )  # fmt: skip
        self.total = next(one for one in records if not one.queue)
        self.queues = RecordList(one for one in records if one.queue and not one.type)
        self.types = RecordList(one for one in records if one.type)

    def of(self, queue: str, type: str = "") -> PerformanceRecord | None:
        """What was measured of one queue, or of one type in it; None: nothing happened."""
        found = self.types if type else self.queues
        return next((r for r in found if r.queue == queue and r.type == type), None)

    def rows(self) -> list[dict[str, Any]]:
        """All, the queues, and the types, as plain rows."""
        return [self.total.row(), *self.queues.rows(), *self.types.rows()]

    def __repr__(self) -> str:
        return repr(RecordList([self.total, *self.queues, *self.types]))

    def _repr_html_(self) -> str:
        return RecordList([self.total, *self.queues, *self.types])._repr_html_()


def _columns(name: str, of: Quantiles) -> dict[str, float | None]:
    known = bool(of.count)
    return {
        f"{name}_p50": of.p50 if known else None,
        f"{name}_p95": of.p95 if known else None,
        f"{name}_p99": of.p99 if known else None,
    }
