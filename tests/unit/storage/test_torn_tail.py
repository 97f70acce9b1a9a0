"""S01 and S02: every byte of the last group torn in every way; every byte elsewhere flipped."""

from collections.abc import Callable

import pytest

from taskqueue_ray.core.errors import StorageCorrupt
from taskqueue_ray.storage.frames import (
    FRAME_HEADER_SIZE,
    SEGMENT_HEADER_SIZE,
    encode_frame,
    frames_from,
    seed_of,
)
from taskqueue_ray.storage.manifest import SnapshotRef, read_manifest, take_over
from taskqueue_ray.storage.recovery import Replay, segment_name
from tests.faultfs import FaultFileSystem
from tests.unit.storage.storage_trial import Trial, open_storage, salt

LAST = 150

Written = tuple[FaultFileSystem, Trial, str, bytes]


def _cut(data: bytes, at: int) -> bytes:
    return data[:at]


def _zeros(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(len(data) - at)


def _garbage(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((i * 7 + 13) % 255 + 1 for i in range(len(data) - at))


def _bit_flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture(scope="module")
def written() -> Written:
    """Three commits; the name of their segment and its bytes without the reserve."""
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs).journal
    trial.commit(journal)
    trial.commit(journal)
    trial.commit(journal, size=LAST)
    journal.close()
    name = segment_name(journal.sequence)
    return fs, trial, name, fs.contents()[name]


@pytest.mark.parametrize("reserve", [0, 500], ids=["at the end of the file", "in reserved space"])
@pytest.mark.parametrize("tear", [_cut, _zeros, _garbage, _bit_flip])
def test_torn_at_every_byte_of_the_last_group(
    written: Written, tear: Callable[[bytes, int], bytes], reserve: int
) -> None:
    fs, trial, name, whole = written
    start = len(whole) - LAST - FRAME_HEADER_SIZE
    for at in range(start, len(whole)):
        disk = fs.copy()
        torn = tear(whole, at) + bytes(reserve)
        disk.put(name, torn)
        opened = open_storage(disk)
        assert opened.payloads == trial.attempted[:2], f"torn at byte {at}"
        remains = len(torn[start:].rstrip(b"\0"))
        found = opened.replay.torn
        assert (found is None) == (remains == 0)
        if found is not None:
            assert (found.file, found.offset, found.size) == (name, start, remains)
        _goes_on_after(disk, opened.payloads)


def _goes_on_after(disk: FaultFileSystem, before: list[bytes]) -> None:
    journal = open_storage(disk).journal
    journal.commit(b"after")
    again = open_storage(disk)
    assert again.payloads == [*before, b"after"]
    assert again.replay.torn is None


def test_damage_before_the_last_group_is_no_torn_tail(written: Written) -> None:
    fs, _, name, whole = written
    last = len(whole) - LAST - FRAME_HEADER_SIZE
    for at in range(last):
        _refused(fs, name, _bit_flip(whole, at))
    for at in range(64, last):
        _refused(fs, name, whole[:at] + bytes(last - at) + whole[last:])  # a hole


@pytest.fixture(scope="module")
def rolled() -> FaultFileSystem:
    """Three segments, the first sealed with frames, the second ended by a restart."""
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs).journal
    trial.commit(journal)
    trial.commit(journal)
    journal.seal(salt())
    trial.commit(journal)
    trial.commit(journal)
    trial.commit(open_storage(fs).journal)
    return fs


def test_every_byte_of_a_sealed_segment(rolled: FaultFileSystem) -> None:
    for sequence in (1, 2):
        name = segment_name(sequence)
        whole = rolled.contents()[name]
        for at in range(len(whole)):
            _refused(rolled, name, _bit_flip(whole, at))
            _refused(rolled, name, whole[:at])


def test_damage_is_named_at_the_commit_that_it_is_in(rolled: FaultFileSystem) -> None:
    name = segment_name(1)
    whole = rolled.contents()[name]
    commits = list(frames_from(seed_of(whole), whole, SEGMENT_HEADER_SIZE))
    assert len(commits) == 2
    for frame in commits:
        for at in (frame.offset, frame.offset + FRAME_HEADER_SIZE, frame.end - 1):
            assert _refused(rolled, name, _bit_flip(whole, at)) == frame.offset


def test_a_commit_that_was_replaced_by_a_well_formed_one(rolled: FaultFileSystem) -> None:
    name = segment_name(1)
    whole = rolled.contents()[name]
    first, second = frames_from(seed_of(whole), whole, SEGMENT_HEADER_SIZE)
    other = encode_frame(seed_of(whole), second.epoch, second.commit, bytes(len(second.payload)))
    _refused(rolled, name, whole[: second.offset] + other + whole[second.end :])
    again = whole[first.offset : first.end]
    assert len(again) == second.end - second.offset
    _refused(rolled, name, whole[: second.offset] + again + whole[second.end :])


def test_a_commit_out_of_its_place_in_the_newest_segment(rolled: FaultFileSystem) -> None:
    name = segment_name(3)
    whole = rolled.contents()[name].rstrip(b"\0")
    *_, last = frames_from(seed_of(whole), whole, SEGMENT_HEADER_SIZE)
    for epoch, commit in ((last.epoch, last.commit), (last.epoch + 1, last.commit + 1)):
        stray = encode_frame(seed_of(whole), epoch, commit, b"out of place")
        assert _refused(rolled, name, whole[: last.end] + stray) == last.end


def test_a_gap_between_snapshot_and_journal(rolled: FaultFileSystem) -> None:
    disk = rolled.copy()
    take_over(disk, "compaction").publish(snapshot=SnapshotRef(7, ()))
    _refuses(disk, segment_name(1))


def test_what_follows_a_sealed_segment_is_ignored(rolled: FaultFileSystem) -> None:
    disk = rolled.copy()
    before = open_storage(disk.copy()).payloads
    disk.put(segment_name(1), disk.contents()[segment_name(1)] + b"the tail of a fenced writer")
    assert open_storage(disk).payloads == before


def test_a_missing_segment(rolled: FaultFileSystem) -> None:
    for sequence in (1, 2, 3):
        disk = rolled.copy()
        disk.remove(segment_name(sequence))
        _refuses(disk, segment_name(sequence))


def test_every_byte_of_the_manifest(rolled: FaultFileSystem) -> None:
    (name,) = [n for n in rolled.contents() if n.startswith("MANIFEST")]
    whole = rolled.contents()[name]
    for at in range(len(whole)):
        _refused(rolled, name, _bit_flip(whole, at))
        _refused(rolled, name, whole[:at])


def test_a_journal_without_a_manifest_is_no_empty_queue(rolled: FaultFileSystem) -> None:
    disk = rolled.copy()
    for name in list(disk.contents()):
        if name.startswith("MANIFEST"):
            disk.remove(name)
    _refuses(disk, "MANIFEST.000000000001")


def test_a_segment_of_another_place(rolled: FaultFileSystem) -> None:
    _refused(rolled, segment_name(2), rolled.contents()[segment_name(1)])
    _refused(rolled, segment_name(3), rolled.contents()[segment_name(2)])


def _refused(fs: FaultFileSystem, name: str, damaged: bytes) -> int:
    """The offset that is named when `name` holds `damaged`."""
    disk = fs.copy()
    disk.put(name, damaged)
    return _refuses(disk, name)


def _refuses(disk: FaultFileSystem, name: str) -> int:
    """Reading names the file, and changes nothing; so does opening, but for the manifest."""
    before = disk.contents()
    with pytest.raises(StorageCorrupt) as caught:
        _read_only(disk)
    assert caught.value.fields["file"] == name
    assert 0 <= caught.value.fields["offset"] <= len(before.get(name, b""))
    assert disk.contents() == before
    with pytest.raises(StorageCorrupt):
        open_storage(disk)
    journal = {n: d for n, d in before.items() if n.startswith("journal/")}
    assert {n: d for n, d in disk.contents().items() if n.startswith("journal/")} == journal
    offset: int = caught.value.fields["offset"]
    return offset


def _read_only(disk: FaultFileSystem) -> None:
    manifest = read_manifest(disk)
    if manifest is None:
        open_storage(disk)
        return
    for _ in Replay(disk, manifest).frames():
        pass
