"""History: one row for each time a job ended, as a Parquet dataset that is never rewritten.

::

    history/date=YYYY-MM-DD/<first>-<last>.parquet    what ended on that day, folded from the
                                                      commits after <first> up to <last>

Payloads, results and error details stay sealed. `record` is MessagePack of the `JobView` less its
payload and result. A job that was redriven has one row for each generation; `latest` keeps the
last.

Rows are in the order of their ids, in groups of `GROUP_ROWS`, and each group has its lowest and
highest id in the statistics: a look-up reads the groups that may have its ids, and no others.
"""

import io
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taskqueue_ray.core.errors import StorageCorrupt
from taskqueue_ray.core.exchange import JobFilter, JobView
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.retention import Horizon
from taskqueue_ray.storage.atomic import write_atomic
from taskqueue_ray.storage.filesystem import FileSystem, ReadableFile
from taskqueue_ray.storage.publication import HISTORY
from taskqueue_ray.storage.snapshot import microseconds

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("generation", pa.int32()),
        ("queue", pa.string()),
        ("type", pa.string()),
        ("name", pa.string()),
        ("state", pa.string()),
        ("reason", pa.string()),
        ("error_type", pa.string()),
        ("priority", pa.int16()),
        ("tags", pa.list_(pa.string())),
        ("category", pa.string()),
        ("workflow", pa.string()),
        ("schedule", pa.string()),
        ("scheduled_for", pa.timestamp("us", "UTC")),
        ("enqueued_at", pa.timestamp("us", "UTC")),
        ("started_at", pa.timestamp("us", "UTC")),
        ("finished_at", pa.timestamp("us", "UTC")),
        ("seconds", pa.float64()),
        ("attempts", pa.int32()),
        ("deliveries", pa.int32()),
        ("losses", pa.int32()),
        ("payload", pa.binary()),
        ("result", pa.binary()),
        ("record", pa.binary()),
    ]
)

GROUP_ROWS = 10_000
"""Rows of a row group: few enough to read for one job, enough for the columns to compress."""

_SEALED = ("payload", "result", "record")
_VIEW = ["id", "generation", *_SEALED]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(JobView)


def to_table(views: Sequence[JobView]) -> pa.Table:
    """The rows of these jobs."""
    columns: dict[str, list[Any]] = {
        "id": [view.id.hex() for view in views],
        "generation": [view.generation for view in views],
        "queue": [view.options.queue for view in views],
        "type": [view.options.type for view in views],
        "name": [view.options.name for view in views],
        "state": [view.state.value for view in views],
        "reason": [view.reason for view in views],
        "error_type": [_error_type(view) for view in views],
        "priority": [view.options.priority for view in views],
        "tags": [list(view.options.tags) for view in views],
        "category": [view.options.category for view in views],
        "workflow": [view.conditions.workflow or None for view in views],
        "schedule": [one.schedule if (one := view.fired) else None for view in views],
        "scheduled_for": [microseconds(one.due) if (one := view.fired) else None for view in views],
        "enqueued_at": [microseconds(view.enqueued_at) for view in views],
        "started_at": [microseconds(view.started_at) for view in views],
        "finished_at": [microseconds(view.finished_at) for view in views],
        "seconds": [view.seconds for view in views],
        "attempts": [view.attempts for view in views],
        "deliveries": [view.delivery for view in views],
        "losses": [view.losses for view in views],
        "payload": [view.payload for view in views],
        "result": [view.result for view in views],
        "record": [
            _encoder.encode(msgspec.structs.replace(view, payload=b"", result=b""))
            for view in views
        ],
    }
    return pa.table(columns, schema=SCHEMA)


def history_files(views: Iterable[JobView], first: int, last: int) -> dict[str, bytes]:
    """The files for what ended in the commits after `first` up to `last`, by name."""
    days: dict[str, list[JobView]] = {}
    for view in views:
        days.setdefault(_day(view.finished_at), []).append(view)
    return {
        f"{HISTORY}/date={day}/{first:012d}-{last:012d}.parquet": _to_file(to_table(rows))
        for day, rows in days.items()
    }


def _to_file(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        table.sort_by([("id", "ascending"), ("generation", "ascending")]),
        sink,
        row_group_size=GROUP_ROWS,
        compression="zstd",
        write_page_checksum=True,
        # Bounds of sealed bytes say nothing, and would make up most of the footer.
        write_statistics=[name for name in SCHEMA.names if name not in _SEALED],
    )
    return sink.getvalue()


def read_history(fs: FileSystem, since: float = 0.0, columns: list[str] | None = None) -> pa.Table:
    """What ended from `since` (seconds) on, every generation, in no particular order."""
    first_day = _day(since)
    tables = [_read(fs, name, columns) for name in list_files(fs) if _day_of(name) >= first_day]
    wanted = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    table = pa.concat_tables(tables) if tables else wanted.empty_table()
    if since and "finished_at" in table.column_names:
        table = table.filter(pc.greater_equal(table["finished_at"], _timestamp(since)))
    return table


def latest(table: pa.Table) -> pa.Table:
    """Only the last generation of each job."""
    if table.num_rows == 0 or pc.max(table["generation"]).as_py() == 0:
        return table
    last = table.group_by("id").aggregate([("generation", "max")])
    pairs = set(zip(last["id"].to_pylist(), last["generation_max"].to_pylist(), strict=True))
    rows = zip(table["id"].to_pylist(), table["generation"].to_pylist(), strict=True)
    return table.filter(pa.array([row in pairs for row in rows]))


def find(fs: FileSystem, ids: Sequence[JobId]) -> list[JobView]:
    """The latest rows of these jobs, as far as history has them."""
    wanted = sorted({job_id.hex() for job_id in ids})
    tables = [table for name in list_files(fs) for table in _rows_of(fs, name, wanted)]
    return to_views(latest(pa.concat_tables(tables))) if tables else []


def row_groups_for(metadata: pq.FileMetaData, wanted: Sequence[str]) -> list[int]:
    """The row groups that may hold any of these ids, which are sorted."""
    column = SCHEMA.get_field_index("id")
    groups = []
    for group in range(metadata.num_row_groups):
        bounds = metadata.row_group(group).column(column).statistics
        if bounds is None or not bounds.has_min_max:
            groups.append(group)
            continue
        first = bisect_left(wanted, bounds.min)
        if first < len(wanted) and wanted[first] <= bounds.max:
            groups.append(group)
    return groups


def _rows_of(fs: FileSystem, name: str, wanted: Sequence[str]) -> Iterator[pa.Table]:
    ids = pa.array(wanted, pa.string())
    with _open_parts(fs, name) as file:
        for group in row_groups_for(file.metadata, wanted):
            # The ids alone first: most look-ups are for jobs that history does not have.
            column = file.read_row_group(group, ["id"], use_threads=False)["id"]
            hits = pc.is_in(column, ids)
            if pc.any(hits).as_py():
                yield file.read_row_group(group, _VIEW, use_threads=False).filter(hits)


def search(fs: FileSystem, wanted: JobFilter, limit: int) -> list[JobView]:
    """At most `limit` jobs that match, the newest first. Dead letters are the queue's to list."""
    found: list[JobView] = []
    for name in reversed(list_files(fs)):
        table = _read(fs, name, None)
        rows = table.filter(_mask(table, wanted)).sort_by([("finished_at", "descending")])
        found += to_views(rows.slice(0, limit - len(found)))
        if len(found) >= limit:
            break
    return found


def prune(fs: FileSystem, wanted: JobFilter, before: float, ids: Sequence[JobId] = ()) -> int:
    """Drop the rows that match and ended before a time, or those of `ids`; how many that were.

    A file is replaced as a whole, so readers and crashes see it before or after.
    """
    dropped = 0
    doomed_ids = pa.array([job_id.hex() for job_id in ids], pa.string())
    last_day = _day(before) if not ids else "9999"
    for name in (name for name in list_files(fs) if _day_of(name) <= last_day):
        table = _read(fs, name, None)
        doomed = pc.is_in(table["id"], doomed_ids) if ids else _mask(table, wanted, before)
        dropped += _drop(fs, name, doomed)
    return dropped


def retain(fs: FileSystem, horizons: Sequence[Horizon]) -> int:
    """Drop the rows that are beyond any of these; how many that were."""
    dropped = 0
    last_day = _day(max(one.before for one in horizons)) if horizons else ""
    for name in (name for name in list_files(fs) if _day_of(name) <= last_day):
        table = _read(fs, name, ["queue", "state", "finished_at"])
        doomed = pa.chunked_array([pa.array([False] * table.num_rows)])
        for horizon in horizons:
            doomed = pc.or_(doomed, _beyond(table, horizon))
        dropped += _drop(fs, name, doomed)
    return dropped


def _drop(fs: FileSystem, name: str, doomed: pa.ChunkedArray) -> int:
    """Write a file anew without these of its rows; how many they were."""
    count: int = pc.sum(doomed).as_py() or 0
    if count == len(doomed):
        fs.remove(name)
    elif count:
        write_atomic(fs, name, _to_file(_read(fs, name, None).filter(pc.invert(doomed))))
    return count


def _beyond(table: pa.Table, horizon: Horizon) -> pa.ChunkedArray:
    mask = pc.and_(
        pc.equal(table["state"], horizon.state.value),
        pc.less_equal(table["finished_at"], _timestamp(horizon.before)),
    )
    if horizon.queue is not None:
        return pc.and_(mask, pc.equal(table["queue"], horizon.queue))
    others = pa.array(horizon.others, pa.string())
    return pc.and_(mask, pc.invert(pc.is_in(table["queue"], others)))


def _mask(table: pa.Table, wanted: JobFilter, before: float | None = None) -> pa.ChunkedArray:
    mask = pc.not_equal(table["state"], JobState.FAILED.value)
    if wanted.state is not None:
        mask = pc.equal(table["state"], wanted.state.value)
    for column in ("queue", "type", "category", "workflow", "schedule"):
        value = getattr(wanted, column)
        if value is not None:
            mask = pc.and_(mask, pc.fill_null(pc.equal(table[column], value), False))
    if wanted.tag is not None:
        has = [wanted.tag in (tags or ()) for tags in table["tags"].to_pylist()]
        mask = pc.and_(mask, pa.array(has, pa.bool_()))
    if wanted.since is not None:
        mask = pc.and_(mask, pc.greater_equal(table["enqueued_at"], _timestamp(wanted.since)))
    if before is not None:
        mask = pc.and_(mask, pc.less_equal(table["finished_at"], _timestamp(before)))
    return mask


def _timestamp(seconds: float) -> pa.Scalar:
    return pa.scalar(int(seconds * 1e6), pa.timestamp("us", "UTC"))


def to_views(table: pa.Table) -> list[JobView]:
    """The jobs of these rows, whole."""
    records = (table[name].to_pylist() for name in ("record", "payload", "result"))
    return [
        msgspec.structs.replace(_decoder.decode(record), payload=payload, result=result)
        for record, payload, result in zip(*records, strict=True)
    ]


def to_bytes(table: pa.Table) -> bytes:
    """A table for the way between processes (Arrow's stream format)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def from_bytes(data: bytes) -> pa.Table:
    """The table again."""
    with pa.ipc.open_stream(data) as stream:
        return stream.read_all()


def count_rows(fs: FileSystem, name: str) -> int:
    """The rows of one file, every page of it checked. `StorageCorrupt` when it is damaged."""
    try:
        return len(to_views(_read(fs, name, list(_SEALED))))
    except (pa.ArrowException, OSError, msgspec.MsgspecError) as error:
        raise StorageCorrupt(name, 0, str(error).partition("\n")[0]) from error


def list_files(fs: FileSystem) -> list[str]:
    """The names of all files of the dataset, by day."""
    days = [entry for entry in fs.list(HISTORY) if entry.startswith("date=")]
    return [
        f"{HISTORY}/{day}/{entry}"
        for day in days
        for entry in fs.list(f"{HISTORY}/{day}")
        if entry.endswith(".parquet")
    ]


def _read(fs: FileSystem, name: str, columns: list[str] | None) -> pa.Table:
    file = _open(fs, name)
    wanted, there = columns or SCHEMA.names, file.schema_arrow.names
    table = file.read(columns=[one for one in wanted if one in there], use_threads=False)
    for one in wanted:
        if one not in there:  # an older file has no such column
            field = SCHEMA.field(one)
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(wanted)


def _open(fs: FileSystem, name: str) -> pq.ParquetFile:
    return _parquet(pa.BufferReader(fs.read(name)))


@contextmanager
def _open_parts(fs: FileSystem, name: str) -> Iterator[pq.ParquetFile]:
    """The same, of which only what is asked for is read."""
    file = fs.open(name)
    try:
        yield _parquet(pa.PythonFile(_Seekable(file), mode="r"))
    finally:
        file.close()


def _parquet(source: pa.NativeFile) -> pq.ParquetFile:
    # Without threads of Arrow's own: a program that ends right after a read would abort in them.
    return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False)


class _Seekable(io.RawIOBase):
    """A file of the seam as Arrow asks for one."""

    def __init__(self, file: ReadableFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = self._file.size - self._at
        data = self._file.read(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _day_of(name: str) -> str:
    return name.split("/")[1].removeprefix("date=")


def _error_type(view: JobView) -> str | None:
    return view.history[-1].failure.error_type if view.history else None
