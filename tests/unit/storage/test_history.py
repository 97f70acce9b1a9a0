"""Look-ups in the history read what may hold the ids, and nothing else."""

from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taskqueue_ray.core.errors import StorageCorrupt
from taskqueue_ray.core.exchange import JobFilter, JobView
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.retention import Horizon
from taskqueue_ray.storage import history
from taskqueue_ray.storage.atomic import write_atomic
from taskqueue_ray.storage.filesystem import (
    ReadableFile,
)
from taskqueue_ray.storage.memory import BytesReader, MemoryFileSystem
from taskqueue_ray.storage.publication import HISTORY
from taskqueue_ray.storage.snapshot import to_parquet
from tests.records import START, options

NAME = f"{HISTORY}/date=2030-01-01/1-2.parquet"


def _id(number: int) -> JobId:
    return make_job_id(START + number, number.to_bytes(9, "big"))


def _view(number: int, **given: object) -> JobView:
    fixed = {
        "id": _id(number), "options": options(), "state": JobState.COMPLETED, "ordinal": number,
        "enqueued_at": START, "finished_at": START + 1, "payload": bytes(1000), "result": b"r",
    }  # fmt: skip
    return JobView(**{**fixed, **given})  # type: ignore[arg-type]  # a job by its fields


class CountingFileSystem(MemoryFileSystem):
    """Counts the bytes that are read, and reads no file as a whole."""

    bytes_read = 0

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        raise AssertionError("a file was read as a whole")

    def open(self, name: str) -> ReadableFile:
        return CountingReader(self, super().read(name))


class CountingReader(BytesReader):
    def __init__(self, fs: CountingFileSystem, data: bytes) -> None:
        super().__init__(data)
        self._fs = fs

    def read(self, offset: int, size: int) -> bytes:
        data = super().read(offset, size)
        self._fs.bytes_read += len(data)
        return data


@pytest.fixture
def fs(monkeypatch: pytest.MonkeyPatch) -> CountingFileSystem:
    """Twenty jobs of a day in groups of four, in the order of ending: the reverse of their ids."""
    monkeypatch.setattr(history, "GROUP_ROWS", 4)
    made = CountingFileSystem()
    _write(made, [_view(n, payload=bytes([n]) * 1000) for n in reversed(range(20))])
    return made


def _write(fs: MemoryFileSystem, views: list[JobView]) -> None:
    for name, data in history.history_files(views, 1, 2).items():
        fs.make_directory(name.rpartition("/")[0])
        write_atomic(fs, name, data)


def _metadata(fs: MemoryFileSystem) -> pq.FileMetaData:
    (name,) = history.list_files(fs)
    return pq.ParquetFile(pa.BufferReader(MemoryFileSystem.read(fs, name))).metadata


@pytest.mark.parametrize(
    ("numbers", "groups"),
    [([0], [0]), ([3], [0]), ([4], [1]), ([0, 19], [0, 4]), ([30], []), ([], []), ([5, 6], [1])],
)
def test_only_groups_that_may_hold_an_id_are_read(
    fs: CountingFileSystem, numbers: list[int], groups: list[int]
) -> None:
    wanted = sorted(_id(n).hex() for n in numbers)
    assert history.row_groups_for(_metadata(fs), wanted) == groups
    found = history.find(fs, [_id(n) for n in numbers])
    assert {view.id: view.payload[:1] for view in found} == {
        _id(n): bytes([n]) for n in numbers if n < 20
    }


def test_a_look_up_for_a_job_that_is_not_there_reads_no_payload(
    fs: CountingFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []
    real = pq.ParquetFile.read_row_group

    def spy(file: pq.ParquetFile, group: int, columns: list[str], **given: bool) -> pa.Table:
        read.append(columns)
        return real(file, group, columns, **given)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", spy)
    between = JobId(_id(5)[:-1] + bytes([_id(5)[-1] + 1]))
    assert history.find(fs, [between]) == []
    assert read == [["id"]]


def test_one_of_many_jobs_costs_a_small_part_of_their_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "GROUP_ROWS", 4)
    fs = CountingFileSystem()
    chance = Random(1)
    _write(fs, [_view(n, payload=chance.randbytes(20_000)) for n in range(40)])
    (name,) = history.list_files(fs)
    size = len(MemoryFileSystem.read(fs, name))
    assert [view.id for view in history.find(fs, [_id(17)])] == [_id(17)]
    assert 4 * 20_000 < fs.bytes_read < size / 5


def test_sealed_columns_have_no_statistics_and_the_id_has(fs: CountingFileSystem) -> None:
    group = _metadata(fs).row_group(0)
    bounds = {
        group.column(n).path_in_schema: group.column(n).is_stats_set
        for n in range(group.num_columns)
    }
    assert bounds["id"]
    assert not any(bounds[name] for name in ("payload", "result", "record"))


def test_files_without_groups_and_order_are_read_too(fs: CountingFileSystem) -> None:
    (name,) = history.list_files(fs)
    fs.remove(name)
    write_atomic(fs, name, to_parquet(history.to_table([_view(n) for n in (9, 3, 7)])))
    assert {view.id for view in history.find(fs, [_id(7), _id(8), _id(9)])} == {_id(7), _id(9)}


def test_the_last_generation_counts_across_files(fs: CountingFileSystem) -> None:
    fs.make_directory(NAME.rpartition("/")[0])
    later = history.to_table([_view(5, generation=1, state=JobState.CANCELLED)])
    write_atomic(fs, NAME, to_parquet(later))
    assert [view.state for view in history.find(fs, [_id(5)])] == [JobState.CANCELLED]


def test_what_pruning_leaves_keeps_its_groups() -> None:
    fs = MemoryFileSystem()
    _write(fs, [_view(n) for n in range(20_001)])
    assert history.prune(fs, JobFilter(), 0.0, [_id(4)]) == 1
    assert _metadata(fs).num_row_groups == 2
    assert [view.id for view in history.find(fs, [_id(4), _id(5)])] == [_id(5)]


def test_damage_is_found_by_a_count_of_rows(fs: CountingFileSystem) -> None:
    (name,) = history.list_files(fs)
    plain = MemoryFileSystem()
    plain.make_directory(name.rpartition("/")[0])
    data = bytearray(MemoryFileSystem.read(fs, name))
    data[len(data) // 2] ^= 1
    write_atomic(plain, name, bytes(data))
    with pytest.raises(StorageCorrupt):
        history.count_rows(plain, name)


# --- what is kept no longer -----------------------------------------------------------------------


def _store(fs: MemoryFileSystem, views: list[JobView]) -> None:
    for name, data in history.history_files(views, 0, 1).items():
        fs.make_directory(name.rpartition("/")[0])
        write_atomic(fs, name, data)


def _kept(*horizons: Horizon) -> tuple[int, list[int]]:
    """How many rows go of six, and which stay, by their numbers."""
    fs = MemoryFileSystem()
    states = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
    views = [
        _view(
            n,
            state=states[n % 3],
            options=options(queue="mail" if n > 2 else "q"),
            finished_at=START + n,
        )
        for n in range(6)
    ]
    _store(fs, views)
    dropped = history.retain(fs, horizons)
    left = history.read_history(fs)["finished_at"].to_pylist()
    return dropped, sorted(round(at.timestamp() - START) for at in left)


def test_rows_go_by_state_and_time() -> None:
    assert _kept() == (0, [0, 1, 2, 3, 4, 5])
    assert _kept(Horizon(JobState.COMPLETED, START - 1)) == (0, [0, 1, 2, 3, 4, 5])
    assert _kept(Horizon(JobState.COMPLETED, START)) == (1, [1, 2, 3, 4, 5])
    assert _kept(Horizon(JobState.FAILED, START + 4)) == (2, [0, 2, 3, 5])
    both = (Horizon(JobState.COMPLETED, START), Horizon(JobState.CANCELLED, START + 9))
    assert _kept(*both) == (3, [1, 3, 4])


def test_rows_go_by_queue() -> None:
    late = START + 99
    assert _kept(Horizon(JobState.COMPLETED, late, "mail")) == (1, [0, 1, 2, 4, 5])
    assert _kept(Horizon(JobState.COMPLETED, late, None, ("mail",))) == (1, [1, 2, 3, 4, 5])
    assert _kept(Horizon(JobState.COMPLETED, late, "none.such")) == (0, [0, 1, 2, 3, 4, 5])


def test_a_file_of_which_nothing_stays_is_gone() -> None:
    fs = MemoryFileSystem()
    _store(fs, [_view(1)])
    assert history.retain(fs, [Horizon(JobState.COMPLETED, START + 99)]) == 1
    assert history.list_files(fs) == []
