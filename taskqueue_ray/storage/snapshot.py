"""Snapshots: the state at one commit, as files that any Parquet tool can read.

::

    snapshots/<commit>-<epoch>/jobs.parquet      every live job and dead letter, one row each
    snapshots/<commit>-<epoch>/settled.parquet   how remembered jobs ended
    snapshots/<commit>-<epoch>/control.json      counters, queues, stored code, receipts

`jobs.parquet` has columns for readers and two for recovery: `payload` (sealed) and `record`
(MessagePack of `JobRecord`, everything else).
"""

import io
from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from taskqueue_ray.core.alerts import Alerts
from taskqueue_ray.core.aside import Pause
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.meters import LimitRule, Meter
from taskqueue_ray.core.model import (
    PLAIN,
    Attempt,
    Checkpoint,
    Conditions,
    Hold,
    Job,
    JobId,
    Options,
    Phase,
    Premises,
    QueueSettings,
    Receipt,
    Settled,
    StoredCode,
    Tally,
)
from taskqueue_ray.core.pool import Pool
from taskqueue_ray.core.schedule import Schedule
from taskqueue_ray.core.state import State, Totals

JOBS = "jobs.parquet"
SETTLED = "settled.parquet"
CONTROL = "control.json"
FILES = (JOBS, SETTLED, CONTROL)

JOBS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("queue", pa.string()),
        ("type", pa.string()),
        ("name", pa.string()),
        ("state", pa.string()),
        ("priority", pa.int16()),
        ("tags", pa.list_(pa.string())),
        ("category", pa.string()),
        ("enqueued_at", pa.timestamp("us", "UTC")),
        ("due", pa.timestamp("us", "UTC")),
        ("attempts", pa.int32()),
        ("losses", pa.int32()),
        ("payload", pa.binary()),
        ("record", pa.binary()),
    ]
)
SETTLED_SCHEMA = pa.schema(
    [
        ("id", pa.binary(16)),
        ("state", pa.string()),
        ("at", pa.float64()),
        ("delivery", pa.int32()),
        ("lease", pa.int64()),
    ]
)


class JobRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A job less its payload; `options` is an index into the control file's table."""

    id: JobId
    options: int
    ordinal: int
    enqueued_at: float
    phase: Phase
    delivery: int = 0
    attempts: int = 0
    losses: int = 0
    generation: int = 0
    running: bool = False
    cancelling: bool = False
    due: float = 0.0
    parents: tuple[JobId, ...] = ()
    history: tuple[Attempt, ...] = ()
    conditions: Conditions | None = None
    suspect: bool = False
    checkpoint: Checkpoint | None = None


class Control(msgspec.Struct, frozen=True):
    """All of the state that is not a job."""

    options: list[Options]
    totals: dict[str, Totals]
    codes: dict[str, StoredCode]
    receipts: dict[str, Receipt]
    keys: list[str]
    ordinal: int
    lease: int
    epoch: int
    at: float
    folded: int
    forgotten_before: float
    unique: dict[str, Hold] = {}
    pauses: list[tuple[str, str, float]] = []
    settings: dict[str, QueueSettings] = {}
    workflows: dict[str, Tally] = {}
    schedules: dict[str, Schedule] = {}
    premises: Premises = msgspec.field(default_factory=Premises)
    alerts: Alerts = msgspec.field(default_factory=Alerts)
    pools: dict[str, Pool] = {}
    limits: dict[str, dict[str, LimitRule]] = {}
    meters: dict[str, dict[str, Meter]] = {}
    throttled: dict[str, dict[str, float]] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(JobRecord)


def write_snapshot(state: State) -> dict[str, bytes]:
    """The files of a snapshot, by name. What ended must have been folded into history before."""
    if state.unfolded or state.marked:
        raise ValueError("a snapshot is taken after a fold, when history has all that ended")
    table: dict[int, int] = {}
    options: list[Options] = []
    for job in state.jobs.values():
        if id(job.options) not in table:
            table[id(job.options)] = len(options)
            options.append(job.options)
    jobs = _parquet(_job_columns(state, table), JOBS_SCHEMA)
    settled = _parquet(_settled_columns(state), SETTLED_SCHEMA)
    control = Control(
        options, state.totals, state.codes, state.receipts, sorted(state.keys), state.ordinal,
        state.lease, state.epoch, state.at, state.folded, state.forgotten_before,
        state.unique, [(*pause, at) for pause, at in state.pauses.items()], state.settings,
        state.workflows, state.schedules, state.premises, state.alerts, state.pools,
        state.limits.rules, state.limits.meters, state.limits.throttled,
    )  # fmt: skip
    return {JOBS: jobs, SETTLED: settled, CONTROL: msgspec.json.encode(control)}


def read_snapshot(files: Mapping[str, bytes]) -> State:
    """The state again. The bytes must have been checked against the manifest before."""
    control = msgspec.json.decode(files[CONTROL], type=Control)
    state = State()
    state.totals = control.totals
    state.codes, state.receipts = control.codes, control.receipts
    state.keys = set(control.keys)
    state.ordinal, state.lease, state.epoch = control.ordinal, control.lease, control.epoch
    state.at, state.folded = control.at, control.folded
    state.forgotten_before = control.forgotten_before
    state.unique, state.settings = control.unique, control.settings
    state.workflows = control.workflows
    state.schedules = control.schedules
    state.premises = control.premises
    state.alerts = control.alerts
    state.pools = control.pools
    state.limits.rules.update(control.limits)
    state.limits.meters.update(control.meters)
    state.limits.throttled.update(control.throttled)
    state.pauses.update((Pause(kind, name), at) for kind, name, at in control.pauses)
    _load_settled(state, files[SETTLED])
    _load_jobs(state, files[JOBS], [state.intern(one) for one in control.options])
    state.rebuild()
    return state


def _job_columns(state: State, table: dict[int, int]) -> dict[str, list[Any]]:
    jobs = list(state.jobs.values())
    options = [job.options for job in jobs]
    return {
        "id": [job.id.hex() for job in jobs],
        "queue": [one.queue for one in options],
        "type": [one.type for one in options],
        "name": [one.name for one in options],
        "state": [job.state.value for job in jobs],
        "priority": [one.priority for one in options],
        "tags": [list(one.tags) for one in options],
        "category": [one.category for one in options],
        "enqueued_at": [microseconds(job.enqueued_at) for job in jobs],
        "due": [microseconds(getattr(job.phase, "due", 0.0)) for job in jobs],
        "attempts": [job.attempts for job in jobs],
        "losses": [job.losses for job in jobs],
        "payload": [job.payload for job in jobs],
        "record": [_encoder.encode(_record(job, table[id(job.options)])) for job in jobs],
    }


def _settled_columns(state: State) -> dict[str, list[Any]]:
    items = [(i, one) for i, one in state.settled.items() if isinstance(one, Settled)]
    return {
        "id": [job_id for job_id, _ in items],
        "state": [one.state.value for _, one in items],
        "at": [one.at for _, one in items],
        "delivery": [one.delivery for _, one in items],
        "lease": [one.lease for _, one in items],
    }


def _record(job: Job, options: int) -> JobRecord:
    return JobRecord(
        job.id, options, job.ordinal, job.enqueued_at, job.phase, job.delivery, job.attempts,
        job.losses, job.generation, job.running, job.cancelling, job.due, job.parents, job.history,
        None if job.conditions is PLAIN else job.conditions,
        job.suspect, job.checkpoint,
    )  # fmt: skip


def _load_jobs(state: State, data: bytes, options: list[Options]) -> None:
    table = _read(data, ["payload", "record"])
    decode = _decoder.decode
    for payload, raw in zip(table["payload"].to_pylist(), table["record"].to_pylist(), strict=True):
        record = decode(raw)
        state.jobs[record.id] = Job(
            record.id, options[record.options], payload, record.ordinal, record.enqueued_at,
            record.phase, record.delivery, record.attempts, record.losses, record.generation,
            record.running, record.cancelling, record.due, record.parents, record.history,
            state.conditions(record.conditions), record.suspect,
            record.checkpoint,
        )  # fmt: skip


def _load_settled(state: State, data: bytes) -> None:
    table = _read(data, None)
    columns = [table[name].to_pylist() for name in SETTLED_SCHEMA.names]
    for job_id, name, at, delivery, lease in zip(*columns, strict=True):
        state.settled[JobId(job_id)] = Settled(JobState(name), at, delivery, lease)


def _read(data: bytes, columns: list[str] | None) -> pa.Table:
    # Without threads of Arrow's own, see `history`.
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    return file.read(columns=columns, use_threads=False)


def microseconds(seconds: float) -> int | None:
    """A time for a timestamp column; None for "no time"."""
    return int(seconds * 1e6) if seconds else None


def _parquet(columns: dict[str, list[Any]], schema: pa.Schema) -> bytes:
    return to_parquet(pa.table(columns, schema=schema))


def to_parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    # Sealed bytes do not compress; the other columns are small or repeat.
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()
