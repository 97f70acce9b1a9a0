"""What the queue knows, as values for people: jobs, counts, workers."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from taskqueue_ray.core.exchange import JobView, Progress, QueueStats, WorkerView
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.origin import origin_of, scheduled_for
from taskqueue_ray.sdk.opening import Opener, Problem, quietly
from taskqueue_ray.sdk.tables import fields_html, fields_text

SILENT = 20.0
"""Seconds without a renewal after which something is wrong: an idle worker renews every ten."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One run that did not complete. `seconds` is how long it ran."""

    number: int
    worker: str
    started_at: datetime | None
    seconds: float
    problem: Problem


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """That a job has a checkpoint: since when, and how many bytes it has, sealed."""

    at: datetime | None
    size: int


class JobRecord:
    """One job at the moment of asking. Times are aware datetimes in UTC, or None.

    `arguments`, `result`, `payload` and the words of errors are opened when they are looked at,
    and raise `KeyMissing` where the queue's key is not at hand.
    """

    def __init__(self, view: JobView, opener: Opener) -> None:
        self.view = view
        self._opener = opener
        options = view.options
        self.id = to_text(view.id)
        self.type = options.type
        self.name = options.name
        self.queue = options.queue
        self.state = JobState(view.state)
        self.priority = options.priority
        self.tags = options.tags
        self.category = options.category
        self.executor = options.executor
        self.timeout = options.timeout or None  # None: as its worker was told
        self.attempts = view.attempts
        self.max_attempts = options.max_attempts
        self.losses = view.losses
        self.deliveries = view.delivery
        self.generation = view.generation
        self.enqueued_at = moment(view.enqueued_at)
        self.due_at = moment(view.due)
        self.started_at = moment(view.started_at)
        self.finished_at = moment(view.finished_at)
        self.seconds = view.seconds
        self.worker = view.worker or None
        self.reason = view.reason or None
        self.parents = tuple(map(to_text, view.parents))
        self.progress: Progress | None = view.progress
        kept = view.checkpoint
        self.checkpoint = None if kept is None else CheckpointRecord(moment(kept.at), kept.size)
        fired = view.fired
        self.schedule = fired.schedule if fired is not None else None
        self.scheduled_for = scheduled_for(fired)

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name, as plain values."""
        origin = JobId(origin_of(self.view))
        return self._opener.arguments(origin, self.type, self.view.payload)

    @cached_property
    def result(self) -> Any:
        """What the job returned; None as long as it has not completed."""
        return self._opener.result(self.view.id, self.type, self.view.result)

    @cached_property
    def payload(self) -> Any:
        """The payload of a `tq.Job`: as `handle` left it, or as it was enqueued."""
        after = self._opener.payload_after(self.view.id, self.type, self.view.result)
        return self.arguments.get("payload") if after is None else after

    @cached_property
    def history(self) -> tuple[AttemptRecord, ...]:
        """The runs that did not complete, the oldest first."""
        return tuple(
            AttemptRecord(
                attempt.number,
                attempt.worker,
                moment(attempt.started_at),
                attempt.seconds,
                self._opener.problem(self.view.id, self.type, attempt.failure),
            )
            for attempt in self.view.history
        )

    @property
    def error(self) -> Problem | None:
        """What went wrong in the last run that did not complete."""
        return self.history[-1].problem if self.history else None

    @property
    def error_type(self) -> str | None:
        """The type of that error, which needs no key."""
        return self.view.history[-1].failure.error_type if self.view.history else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, sealed parts opened where they can be."""
        row = self.row()
        row["arguments"] = quietly(lambda: self.arguments, None)
        row["result"] = quietly(lambda: self.result, None)
        row["error"] = self.error._asdict() if self.error else None
        if self.checkpoint is not None:
            row["checkpoint"] = asdict(self.checkpoint)
        return row

    def row(self) -> dict[str, Any]:
        """What a table shows of it: nothing sealed."""
        return {
            "id": self.id,
            "type": self.type,
            "queue": self.queue,
            "state": self.state.value,
            "priority": self.priority,
            "attempts": self.attempts,
            "name": self.name,
            "tags": list(self.tags),
            "category": self.category,
            "enqueued_at": self.enqueued_at,
            "due_at": self.due_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "seconds": self.seconds,
            "worker": self.worker,
            "error_type": self.error_type,
            "reason": self.reason,
            "schedule": self.schedule,
            "scheduled_for": self.scheduled_for,
        }

    def __repr__(self) -> str:
        return f"<JobRecord {self.id} {self.type} {self.state.value}>"

    def __str__(self) -> str:
        return fields_text(self.to_dict())

    def _repr_html_(self) -> str:
        return fields_html(self.to_dict())


class QueueRecord:
    """Counts of one queue; they are counters, not a scan. Every state is an attribute too."""

    scheduled: int
    blocked: int
    pending: int
    processing: int
    completed: int
    failed: int
    cancelled: int
    expired: int

    def __init__(self, stats: QueueStats) -> None:
        self.queue = stats.queue
        self.total = stats.total
        self.counts = {state: stats.counts.get(state, 0) for state in JobState}
        for state, count in self.counts.items():
            setattr(self, state.value, count)
        self.oldest_waiting = moment(stats.oldest_waiting or 0.0)
        self.retries = stats.retries
        self.losses = stats.losses

    @property
    def waiting(self) -> int:
        """Jobs that have not begun: pending, scheduled and blocked."""
        return self.pending + self.scheduled + self.blocked

    @property
    def unfinished(self) -> int:
        """Jobs that have not ended."""
        return self.waiting + self.processing

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        counts = {state.value: count for state, count in self.counts.items()}
        return {"queue": self.queue, "total": self.total, **counts,
                "oldest_waiting": self.oldest_waiting, "retries": self.retries}  # fmt: skip

    def __repr__(self) -> str:
        shown = ", ".join(f"{state.value} {n}" for state, n in self.counts.items() if n)
        return f"<queue {self.queue}: {shown or 'empty'}>"


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as the queue sees it. `seen_ago`, its last renewal, is in seconds.

    `state` is `working`, `draining`, `barred` when its node gets no jobs, or `silent` when it has
    not renewed for a while. `memory` is in bytes, of the worker and what it forked together; `cpu`
    in percent of one core. `jobs_done` and `restarts`, of executors that were replaced, count from
    its start. They are as the worker said last, some seconds ago.
    """

    id: str
    queues: tuple[str, ...]
    concurrency: int
    held: int
    running: tuple[str, ...]
    seen_ago: float
    draining: bool
    node: str
    host: str
    pid: int
    barred: bool = False
    state: str = "working"
    memory: int = 0
    executors_memory: int = 0
    cpu: float = 0.0
    executors: int = 0
    jobs_done: int = 0
    restarts: int = 0
    started_at: datetime | None = None
    shape: str = ""
    pool: str = ""
    grown: tuple[tuple[str, int], ...] = ()
    """Job types for whose memory its executors were replaced, and by how many bytes one grew."""

    @property
    def last_renewal(self) -> datetime:
        """When it was last heard of."""
        return datetime.now(UTC) - timedelta(seconds=self.seen_ago)

    @staticmethod
    def of(view: WorkerView) -> "WorkerRecord":
        """The record of a view."""
        info, vitals = view.info, view.vitals
        running = tuple(map(to_text, view.running))
        silent = "silent" if view.seen_ago > SILENT else "working"
        return WorkerRecord(
            info.id, info.queues, info.concurrency, view.held, running, view.seen_ago,
            view.draining, info.node, info.host, info.pid, view.barred,
            "draining" if view.draining else "barred" if view.barred else silent,
            vitals.memory + vitals.executors_memory, vitals.executors_memory, vitals.cpu,
            vitals.executors, vitals.jobs_done, vitals.restarts, moment(vitals.started_at),
            info.shape, info.pool, tuple(view.grown.items()),
        )  # fmt: skip

    def row(self) -> dict[str, Any]:
        """What a table shows of it."""
        return {
            "worker": self.id,
            "queues": ", ".join(self.queues) or "all",
            "concurrency": self.concurrency,
            "held": self.held,
            "running": len(self.running),
            "seen_ago": self.seen_ago,
            "state": self.state,
            "host": self.host,
            "pid": self.pid,
            "memory_mib": round(self.memory / 2**20, 1),
            "cpu": round(self.cpu, 1),
            "jobs_done": self.jobs_done,
            "restarts": self.restarts,
            "node": self.node,
            "pool": self.pool,
            "shape": self.shape,
            "grown": ", ".join(f"{name}: {size >> 20} MiB" for name, size in self.grown),
        }


def moment(seconds: float) -> datetime | None:
    """A time as people know it; 0 is none."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
