"""A storage that nobody owns: read, verified and dumped as it lies there."""

import msgspec
import pytest

from taskqueue_ray.core.errors import InvalidRequest, StorageCorrupt, StorageUnusable
from taskqueue_ray.core.exchange import JobFilter, JobPage, QueueStats
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.engine.reading import ReadingDesk, read_storage
from taskqueue_ray.engine.verifying import dump, verify
from taskqueue_ray.storage.memory import MemoryFileSystem
from tests.faultfs import FaultFileSystem
from tests.records import spec
from tests.unit.engine.engine_trial import Trial
from tests.unit.engine.folded_trial import Stored


@pytest.fixture
def stored() -> Stored:
    """Five jobs folded into the history, two that ended since, one that waits."""
    trial = Stored(FaultFileSystem())
    trial.run_jobs(0, 5)
    trial.fold()
    trial.run_jobs(5, 7)
    trial.enqueued(spec(7))
    return trial


def _names(trial: Stored) -> dict[str, bytes]:
    fs = trial.fs
    return {f"journal/{entry}": fs.read(f"journal/{entry}") for entry in fs.list("journal")}


def test_a_reading_is_the_state_and_changes_nothing(stored: Stored) -> None:
    before = {entry: stored.fs.read(entry) for entry in stored.fs.list("") if "MANIF" in entry}
    reading = read_storage(stored.fs)
    assert stored.differs_from(Trial(reading.state)) == []
    assert {entry: stored.fs.read(entry) for entry in before} == before


def test_the_desk_answers_questions_and_refuses_moves(stored: Stored) -> None:
    desk = ReadingDesk(read_storage(stored.fs))
    encode = msgspec.msgpack.encode
    [counts] = msgspec.msgpack.decode(desk.answer("stats", b"\xc0"), type=list[QueueStats])
    assert (counts.counts[JobState.COMPLETED], counts.counts[JobState.PENDING]) == (7, 1)
    page = msgspec.msgpack.decode(
        desk.answer("jobs", encode((JobFilter(JobState.PENDING), None, 10))), type=JobPage
    )
    assert [job.id for job in page.jobs] == [spec(7).id]
    past = msgspec.msgpack.decode(desk.answer("past", encode([spec(1).id])))
    assert len(past) == 1
    for method in ("enqueue", "cancel", "redrive", "purge", "work", "fold"):
        with pytest.raises(InvalidRequest, match="reading only"):
            desk.answer(method, b"\xc0")


def test_verify_counts_all_there_is(stored: Stored) -> None:
    found = verify(stored.fs)
    assert found.history_rows == 5
    assert found.jobs["q"]["completed"] == 7
    assert found.snapshot is not None
    assert found.torn is None
    assert found.events["enqueued"] == 2
    assert sum(found.segments.values()) == found.commits


def test_verify_sees_a_flipped_bit_in_every_file_that_counts(stored: Stored) -> None:
    counted = [
        name
        for folder in ("journal", *_folders(stored.fs))
        for entry in stored.fs.list(folder)
        if stored.fs.exists(name := f"{folder}/{entry}") and "." in entry
    ]
    assert len(counted) >= 5
    for name in counted:
        whole = stored.fs.read(name)
        replace(stored.fs, name, whole[:30] + bytes([whole[30] ^ 4]) + whole[31:])
        with pytest.raises((StorageCorrupt, StorageUnusable)) as caught:
            verify(stored.fs)
        assert name.rpartition("/")[2] in str(caught.value)
        replace(stored.fs, name, whole)
    assert verify(stored.fs).history_rows == 5


def test_a_torn_tail_is_reported_and_is_no_damage(stored: Stored) -> None:
    newest = f"journal/{max(stored.fs.list('journal'))}"
    whole = stored.fs.read(newest).rstrip(b"\0")
    replace(stored.fs, newest, whole + b"half a frame")
    found = verify(stored.fs)
    assert found.torn is not None
    assert (found.torn.file, found.torn.size) == (newest, len(b"half a frame"))


def test_dump_names_segment_and_commit_and_seals_stay(stored: Stored) -> None:
    events = list(dump(stored.fs))
    enqueued = [event for event in events if event["event"] == "enqueued"]
    assert [len(event["jobs"]) for event in enqueued] == [2, 1]
    assert enqueued[1]["jobs"][0]["id"] == spec(7).id.hex()
    assert enqueued[1]["jobs"][0]["payload"]["bytes"] == len(b"payload 7")
    commits = [event["commit"] for event in events]
    assert commits == sorted(commits)
    assert {event["segment"] for event in events} <= set(_names(stored))


def test_where_there_is_no_queue(stored: Stored) -> None:
    for read in (read_storage, verify):
        with pytest.raises(StorageUnusable, match="no queue"):
            read(MemoryFileSystem())


def _folders(fs: FaultFileSystem) -> list[str]:
    return [
        f"{root}/{entry}"
        for root in ("snapshots", "history")
        for entry in fs.list(root)
        if entry != "pending"
    ]


def replace(fs: FaultFileSystem, name: str, data: bytes) -> None:
    fs.remove(name)
    file = fs.create(name)
    file.write(data)
    file.close()
