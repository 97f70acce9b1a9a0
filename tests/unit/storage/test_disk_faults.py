"""S03 to S06: errors at every operation, a power cut at every operation, a full disk."""

import errno
from contextlib import suppress
from random import Random

import pytest

from taskqueue_ray.core.errors import (
    CommitUnknown,
    StorageFull,
)
from taskqueue_ray.storage.frames import FRAME_HEADER_SIZE, SEGMENT_HEADER_SIZE
from taskqueue_ray.storage.journal import Journal, JournalSettings
from taskqueue_ray.storage.recovery import segment_name
from tests.faultfs import MUTATIONS, Fault, FaultFileSystem, PowerCut
from tests.unit.storage.storage_trial import Trial, open_storage, salt

READS = frozenset({"read", "list", "exists"})


def _operations(kinds: frozenset[str]) -> int:
    fs = FaultFileSystem()
    assert Trial().run(fs) is None
    return sum(operation.kind in kinds for operation in fs.log)


@pytest.mark.parametrize("effect", ["none", "half", "whole"])
@pytest.mark.parametrize("forever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("kinds", [MUTATIONS, READS], ids=["writing", "reading"])
def test_an_error_at_every_operation(
    kinds: frozenset[str], error: int, forever: bool, effect: str
) -> None:
    for at in range(1, _operations(kinds) + 1):
        for crash in ("process", "power", "power, some survives"):
            fs, trial = FaultFileSystem(), Trial()
            fault = fs.fail(Fault(at, error, forever, kinds, effect))
            trial.run(fs)
            assert fault.fired
            fs.heal()
            _crash(fs, crash, at)
            _survives(fs, trial)


@pytest.mark.parametrize("kind", sorted(MUTATIONS))
def test_an_error_at_every_operation_of_one_kind(kind: str) -> None:
    for at in range(1, _operations(frozenset({kind})) + 1):
        fs, trial = FaultFileSystem(), Trial()
        fs.fail(Fault(at, kinds=frozenset({kind})))
        trial.run(fs)
        fs.heal()
        fs.reboot()
        _survives(fs, trial)


def test_a_power_cut_at_every_operation() -> None:
    fs = FaultFileSystem()
    Trial().run(fs)
    for at in range(1, fs.operations + 1):
        for seed in [None, *range(12)]:
            disk, trial = FaultFileSystem(), Trial()
            disk.cut_power_at(at)
            with pytest.raises(PowerCut):
                trial.run(disk)
            disk.reboot(None if seed is None else Random(seed * 1000 + at))
            _survives(disk, trial)


def test_a_power_cut_at_every_operation_of_the_recovery_from_one() -> None:
    for at in range(1, 60):
        for seed in range(8):
            disk, trial = FaultFileSystem(), Trial()
            trial.run(disk)
            disk.reboot(Random(seed))
            disk.cut_power_at(disk.operations + at)
            try:
                trial.check(open_storage(disk).payloads)
            except PowerCut:
                pass
            disk.reboot(Random(seed + at))
            _survives(disk, trial)


def _crash(fs: FaultFileSystem, how: str, seed: int) -> None:
    if how == "process":
        fs.crash_process()
    else:
        fs.reboot(Random(seed) if "some" in how else None)


def _survives(fs: FaultFileSystem, trial: Trial) -> None:
    """What was acknowledged is there; and what was recovered once stays, whatever comes."""
    opened = open_storage(fs)
    trial.check(opened.payloads)
    fs.reboot()
    again = open_storage(fs)
    assert again.payloads == opened.payloads
    again.journal.commit(b"goes on")
    fs.reboot()
    assert open_storage(fs).payloads == [*opened.payloads, b"goes on"]


def test_fsync_fails_once_and_then_succeeds() -> None:
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs).journal
    trial.commit(journal)
    fs.fail(Fault(1, kinds=frozenset({"sync"})))
    with pytest.raises(CommitUnknown, match="fsync"):
        trial.commit(journal)
    with pytest.raises(CommitUnknown):
        journal.commit(b"the dead do not write")
    assert sum(operation.kind == "sync" for operation in fs.log[-2:]) == 1

    # The next process sees the commit in the page cache and answers from it ...
    fs.crash_process()
    assert open_storage(fs).payloads == trial.attempted
    # ... so it must be on the disk, which the old segment cannot give.
    fs.reboot()
    assert open_storage(fs).payloads == trial.attempted


def test_a_dead_journal_leaves_the_file_alone() -> None:
    fs = FaultFileSystem()
    journal = open_storage(fs).journal
    fs.fail(Fault(1, kinds=frozenset({"write"}), effect="half"))
    with pytest.raises(CommitUnknown, match="write"):
        journal.commit(b"payload")
    operations = fs.operations
    for attempt in (lambda: journal.commit(b""), lambda: journal.seal(salt())):
        with pytest.raises(CommitUnknown):
            attempt()
    journal.close()
    assert fs.operations == operations


PLAIN = JournalSettings(segment_limit=1024, ballast=4096)


def test_a_full_disk_uses_the_ballast_refuses_and_heals() -> None:
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs, PLAIN).journal
    fs.capacity = fs.used
    _fill(trial, journal)
    assert journal.low_space
    assert trial.acknowledged > PLAIN.ballast // (300 + FRAME_HEADER_SIZE)
    assert not journal.reclaim()

    with pytest.raises(StorageFull):
        journal.commit(trial.attempted[-1])
    fs.capacity = None
    journal.commit(trial.attempted[-1])
    assert journal.reclaim()
    _has_room(journal)
    fs.reboot()
    assert open_storage(fs).payloads == trial.attempted


def _has_room(journal: Journal) -> None:
    assert not journal.low_space


def _fill(trial: Trial, journal: Journal) -> None:
    for _ in range(1000):
        try:
            trial.commit(journal, size=300)
        except StorageFull:
            return
        assert journal.low_space == (journal.size > PLAIN.segment_limit)
    pytest.fail("the disk has no end")


def test_reserved_space_is_enough_on_a_full_disk() -> None:
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs, PLAIN).journal
    fs.capacity = fs.used
    room = PLAIN.segment_limit - SEGMENT_HEADER_SIZE
    for _ in range(room // (100 + FRAME_HEADER_SIZE)):
        trial.commit(journal)
    assert not journal.low_space


def test_a_full_disk_can_be_opened_with_the_ballast() -> None:
    fs, trial = FaultFileSystem(), Trial()
    trial.commit(open_storage(fs, PLAIN).journal)
    fs.capacity = fs.used
    journal = open_storage(fs, PLAIN).journal
    assert journal.low_space
    trial.commit(journal)
    sealed = journal.seal(salt())
    assert sealed.next_commit == 3
    trial.commit(journal)
    fs.reboot()
    fs.capacity = None
    assert open_storage(fs, PLAIN).payloads == trial.attempted


def test_no_room_for_a_new_segment_leaves_the_old_one_in_use() -> None:
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs, JournalSettings(segment_limit=1024, ballast=0)).journal
    fs.capacity = fs.used
    with pytest.raises(StorageFull):
        journal.seal(salt())
    trial.commit(journal)
    assert journal.sequence == 1
    fs.reboot()
    with pytest.raises(StorageFull):
        open_storage(fs)
    fs.capacity = None
    assert open_storage(fs).payloads == trial.attempted


def test_an_undo_that_fails_is_the_end() -> None:
    fs = FaultFileSystem()
    journal = open_storage(fs).journal
    fs.fail(Fault(1, errno.ENOSPC, kinds=frozenset({"write"})))
    fs.fail(Fault(1, kinds=frozenset({"truncate"})))
    with pytest.raises(CommitUnknown, match="undo"):
        journal.commit(b"payload")


@pytest.mark.parametrize("kind", ["exists", "move", "sync_directory"])
def test_a_roll_that_fails_is_unknown(kind: str) -> None:
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs).journal
    trial.commit(journal)
    fs.fail(Fault(1, kinds=frozenset({kind})))
    with pytest.raises(CommitUnknown):
        journal.seal(salt())
    fs.heal()
    fs.crash_process()
    assert open_storage(fs).payloads == trial.attempted


def test_every_failure_of_an_open_journal_is_a_typed_one() -> None:
    allowed = (CommitUnknown, StorageFull)
    for error in (errno.EIO, errno.ENOSPC):
        for at in range(1, 40):
            fs = FaultFileSystem()
            journal = open_storage(fs).journal
            fs.fail(Fault(at, error, kinds=MUTATIONS | READS))
            with suppress(*allowed):
                for _ in range(9):
                    journal.commit(b"payload")
                journal.seal(salt())


def test_the_space_of_a_crash_loop_is_given_back() -> None:
    fs = FaultFileSystem()
    for _ in range(5):
        open_storage(fs).journal.commit(b"payload")
        fs.crash_process()
    sizes = [len(fs.contents()[segment_name(n)]) for n in range(1, 6)]
    assert sizes[-1] == 2048
    assert max(sizes[:-1]) < 200
