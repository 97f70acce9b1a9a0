"""Two writers of one folder: only the newer one's commits count."""

import pytest

from taskqueue_ray.core.errors import Fenced, StorageUnusable, Unavailable
from taskqueue_ray.storage.journal import Journal
from taskqueue_ray.storage.manifest import (
    FileRef,
    SnapshotRef,
    file_ref,
    load_manifest,
    read_checked,
    read_manifest,
    take_over,
)
from taskqueue_ray.storage.memory import MemoryFileSystem
from taskqueue_ray.storage.recovery import Replay, SealedSegment, read_sealed, segment_sequences
from tests.faultfs import Fault, FaultFileSystem
from tests.unit.storage.storage_trial import SMALL, open_storage, salt


def test_an_older_writer_is_fenced_and_its_frame_does_not_count() -> None:
    fs = FaultFileSystem()
    old = open_storage(fs)
    old.journal.commit(b"acknowledged")
    new = open_storage(fs)
    with pytest.raises(Fenced) as caught:
        old.journal.commit(b"too late")
    assert caught.value.fields == {"mine": 1, "current": 2}
    with pytest.raises(Fenced):
        old.journal.commit(b"still too late")
    new.journal.commit(b"of the new one")
    assert open_storage(fs).payloads == [b"acknowledged", b"of the new one"]


def test_a_writer_that_is_overtaken_between_fsync_and_check() -> None:
    fs = FaultFileSystem()
    old = open_storage(fs)
    fence = take_over(fs, "the next")
    with pytest.raises(Fenced):
        old.journal.commit(b"neither acknowledged nor forbidden")
    replay = Replay(fs, fence.manifest)
    seen = [f.payload for f in replay.frames()]
    journal = Journal.open(fs, fence, replay.end, salt(), SMALL)
    journal.commit(b"next")
    assert open_storage(fs).payloads == [*seen, b"next"]


def test_a_roll_of_a_fenced_writer_does_not_stand_in_the_way() -> None:
    fs = FaultFileSystem()
    old = open_storage(fs)
    old.journal.commit(b"acknowledged")
    fence = take_over(fs, "the next")
    replay = Replay(fs, fence.manifest)
    list(replay.frames())
    with pytest.raises(Fenced):
        old.journal.seal(salt())
    with pytest.raises(Unavailable):
        Journal.open(fs, fence, replay.end, salt(), SMALL)
    assert open_storage(fs).payloads == [b"acknowledged"]


def test_a_fenced_writer_cannot_roll_over_the_new_one() -> None:
    fs = FaultFileSystem()
    old = open_storage(fs)
    new = open_storage(fs)
    new.journal.commit(b"of the new one")
    with pytest.raises(Fenced):
        old.journal.seal(salt())
    assert open_storage(fs).payloads == [b"of the new one"]


def test_of_two_that_start_from_one_manifest_one_publishes() -> None:
    fs = FaultFileSystem()
    old = take_over(fs, "old")
    new = take_over(fs, "new")
    with pytest.raises(Fenced):
        old.publish(first_segment=9)
    with pytest.raises(Fenced):
        old.check()
    for n in range(3):
        new.publish(last_segment=n)
    # Its number has become free meanwhile, and it is fenced all the same.
    with pytest.raises(Fenced):
        old.publish(first_segment=9)
    new.check()
    found = read_manifest(fs)
    assert found is not None
    assert (found.epoch, found.owner, found.last_segment) == (2, "new", 2)


def test_epochs_rise_and_lower_manifests_go() -> None:
    fs = MemoryFileSystem()
    fences = [take_over(fs, f"owner {n}") for n in range(4)]
    assert [f.epoch for f in fences] == [1, 2, 3, 4]
    assert [n for n in fs.list("") if n.startswith("MANIFEST")] == ["MANIFEST.000000000004"]


def test_publishing_again_after_an_error_that_was_none() -> None:
    fs = FaultFileSystem()
    fence = take_over(fs, "owner")
    fs.fail(Fault(1, kinds=frozenset({"sync_directory"})))
    with pytest.raises(OSError, match="Input/output"):
        fence.publish(last_segment=1)
    fence.check()
    assert fence.publish(last_segment=2).number == 3
    fence.check()
    assert load_manifest(fs, 3).last_segment == 2


def test_publishing_on_a_full_disk_leaves_the_old_manifest() -> None:
    fs = FaultFileSystem()
    fence = take_over(fs, "owner")
    fs.capacity = fs.used
    with pytest.raises(OSError, match="No space"):
        fence.publish(last_segment=1)
    fence.check()
    assert read_manifest(fs) == fence.manifest
    assert all(not name.endswith(".tmp") for name in fs.list(""))


def test_a_folder_that_holds_something_else() -> None:
    fs = FaultFileSystem()
    fs.put("holiday.jpg", b"beach")
    with pytest.raises(StorageUnusable, match=r"holiday\.jpg"):
        take_over(fs, "owner")
    assert fs.list("") == ["holiday.jpg"]


def test_compaction_takes_the_sealed_part_off_the_journal() -> None:
    fs = FaultFileSystem()
    opened = open_storage(fs)
    opened.journal.commit(b"one")
    opened.journal.commit(b"two")
    sealed = opened.journal.seal(salt())
    opened.journal.commit(b"three")
    assert [f.payload for f in read_sealed(fs, sealed)] == [b"one", b"two"]
    opened.fence.publish(
        snapshot=SnapshotRef(sealed.next_commit - 1, ()),
        first_segment=sealed.sequence + 1,
        last_segment=opened.journal.sequence,
    )
    fs.remove(sealed.name)
    again = open_storage(fs)
    assert again.payloads == [b"three"]
    assert again.journal.next_commit == 4
    assert segment_sequences(fs) == [2, 3]


def test_what_recovery_calls_sealed_can_be_read_again() -> None:
    fs = FaultFileSystem()
    opened = open_storage(fs)
    opened.journal.commit(b"one")
    opened.journal.commit(b"two")
    again = open_storage(fs)
    (sealed,) = again.replay.sealed
    assert isinstance(sealed, SealedSegment)
    # The last commit has moved to the new segment.
    assert [f.payload for f in read_sealed(fs, sealed)] == [b"one"]
    assert [f.payload for f in read_sealed(fs, again.journal.seal(salt()))] == [b"two"]


def test_a_file_that_a_manifest_names_is_checked_first() -> None:
    fs = FaultFileSystem()
    fs.put("snapshot", b"rows")
    assert read_checked(fs, file_ref("snapshot", b"rows")) == b"rows"
    digest = file_ref("snapshot", b"rows").sha256
    for ref in (FileRef("snapshot", 5, digest), FileRef("gone", 4, digest)):
        with pytest.raises(Exception, match=f"{ref.name} is damaged"):
            read_checked(fs, ref)
    fs.put("snapshot", b"rowt")
    with pytest.raises(Exception, match="SHA-256"):
        read_checked(fs, FileRef("snapshot", 4, digest))
