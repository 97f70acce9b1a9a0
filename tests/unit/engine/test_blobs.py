"""The queue's side of large payloads: parts in, parts out, and what is collected when."""

import errno
from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import Any

import msgspec
import pytest

from taskqueue_ray.core.blobs import (
    CHUNK,
    MAX_BLOB,
    MAX_CHUNK,
    Blob,
    BlobKind,
    BlobPart,
    BlobWanted,
    make_reference,
)
from taskqueue_ray.core.commands import Cancel, Purge
from taskqueue_ray.core.errors import (
    BlobLost,
    Fenced,
    InvalidRequest,
    PayloadTooLarge,
    StorageFull,
    Unavailable,
)
from taskqueue_ray.core.exchange import EnqueueReply
from taskqueue_ray.core.model import JobSpec
from taskqueue_ray.core.state import State
from taskqueue_ray.engine import blobs
from taskqueue_ray.engine.beside import AT_ONCE
from taskqueue_ray.engine.blobs import GRACE, IDLE, MAX_QUEUED, MAX_UPLOADS, REPLACEABLE, SWEEP
from taskqueue_ray.engine.clock import Clock
from taskqueue_ray.engine.commits import Committed
from taskqueue_ray.engine.engine import Engine, Ports
from taskqueue_ray.engine.reading import ReadingDesk, read_storage
from taskqueue_ray.engine.verifying import verify
from taskqueue_ray.storage.blobs import blob_name, open_blobs
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.journal import Journal
from taskqueue_ray.storage.manifest import take_over
from taskqueue_ray.storage.memory import MemoryFileSystem
from taskqueue_ray.storage.recovery import Replay
from taskqueue_ray.storage.replay import load_state, replay
from tests.faultfs import Fault, FaultFileSystem, PowerCut
from tests.records import job_id, raw_batch
from tests.unit.engine.engine_trial import Box, StandingClock
from tests.unit.storage.storage_trial import SMALL

DATA = bytes(range(256)) * 20


def blob_of(data: bytes, number: int = 1, kind: BlobKind = "payload") -> Blob:
    return Blob(job_id(number), kind, sha256(data).digest())


def spec_of(data: bytes, number: int = 1) -> JobSpec:
    return JobSpec(job_id(number), 0, make_reference(sha256(data).digest(), len(data)))


class Later:
    """Does what is to be done beside when the test says so."""

    def __init__(self) -> None:
        self.todo: list[Callable[[], None]] = []

    def write(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.todo.append(lambda: done(work()))

    read = write

    def run(self) -> None:
        while self.todo:
            self.todo.pop(0)()


class Owner:
    """An engine that owns a storage for good, on any file system."""

    lives = 0

    def __init__(self, fs: FileSystem, clock: Clock | None = None, beside: Any = None) -> None:
        Owner.lives += 1
        self.fs = fs
        self.clock = clock or StandingClock()
        self.fence = take_over(fs, f"owner {Owner.lives}")
        state = load_state(fs, self.fence.manifest)
        journal = Replay(fs, self.fence.manifest)
        for frame in journal.frames():
            replay(state, frame.payload, "journal", frame.offset)
        self.blobs = open_blobs(fs, self.fence, state)
        self._journal = Journal.open(fs, self.fence, journal.end, b"%08d" % Owner.lives, SMALL)
        self.held: list[Callable[[], None]] | None = None
        self.asked: list[Callable[[Any], None]] = []
        look_up = lambda _ids, found: self.asked.append(found)  # noqa: E731
        ports = Ports(self, _nothing, look_up, _nothing, self.blobs, beside or AT_ONCE)
        self.engine = Engine(state, ports, self.clock, self._journal.next_commit)
        self.engine.open(self.fence.epoch)

    @property
    def state(self) -> State:
        return self.engine.state

    def submit(self, payload: bytes, seal: bool, done: Callable[[Any], None]) -> None:
        def commit() -> None:
            try:
                self._journal.commit(payload)
            except Exception as error:
                done(error)
            else:
                done(Committed(None, self._journal.low_space))

        commit() if self.held is None else self.held.append(commit)

    def put(self, data: bytes, number: int = 1, chunk: int = 2000, **given: Any) -> Any:
        """Send a blob; the last answer."""
        blob = blob_of(data, number, **given)
        at = 0
        while at < len(data):
            answer = self.part(BlobPart(blob, len(data), at, data[at : at + chunk]))
            if not isinstance(answer, int):
                return answer
            at = answer
        return at

    def part(self, part: BlobPart) -> Any:
        box = Box()
        self.engine.blobs.put(part, box)
        return box.answer

    def get(self, blob: Blob, offset: int = 0) -> Any:
        box = Box()
        self.engine.blobs.get(BlobWanted(blob, offset), box)
        return box.answer

    def enqueue(self, *jobs: JobSpec) -> Any:
        box = Box()
        self.engine.enqueue(raw_batch(jobs), box)
        return box.answer

    def files(self) -> list[str]:
        return self.fs.list("blobs")


def _nothing(*_: Any) -> None:
    pass


def test_parts_may_be_repeated_and_come_out_of_turn() -> None:
    owner, blob = Owner(MemoryFileSystem()), blob_of(DATA)

    def part(offset: int) -> Any:
        return owner.part(BlobPart(blob, len(DATA), offset, DATA[offset : offset + 2000]))

    assert part(2000) == 0
    assert [part(0), part(0), part(4000), part(2000), part(2000)] == [2000, 2000, 2000, 4000, 4000]
    assert isinstance(owner.get(blob), BlobLost)
    assert [part(4000), part(4000), part(0)] == [len(DATA)] * 3
    assert owner.get(blob) == DATA
    assert (owner.get(blob, 5000), owner.get(blob, len(DATA))) == (DATA[5000:], b"")
    assert len(owner.files()) == 1


def test_reading_gives_no_more_than_a_chunk() -> None:
    owner, data = Owner(MemoryFileSystem()), bytes(CHUNK + 10)
    owner.put(data, chunk=MAX_CHUNK)
    assert (len(owner.get(blob_of(data))), len(owner.get(blob_of(data), CHUNK))) == (CHUNK, 10)


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (BlobPart(blob_of(DATA), MAX_BLOB + 1, 0, b"x"), PayloadTooLarge),
        (BlobPart(blob_of(DATA), 10, 0, b""), InvalidRequest),
        (BlobPart(blob_of(DATA), 10, -1, b"x"), InvalidRequest),
        (BlobPart(blob_of(DATA), 10, 9, b"xx"), InvalidRequest),
        (BlobPart(blob_of(DATA), 1 << 29, 0, bytes(MAX_CHUNK + 1)), InvalidRequest),
        (BlobPart(Blob(job_id(1), "payload", b"short"), 10, 0, b"x"), InvalidRequest),
    ],
)
def test_malformed_parts_are_refused(part: BlobPart, error: type[Exception]) -> None:
    owner = Owner(MemoryFileSystem())
    with pytest.raises(error):
        owner.part(part)
    assert owner.files() == []


def test_other_bytes_than_announced_are_refused() -> None:
    owner = Owner(MemoryFileSystem())
    wrong = owner.part(BlobPart(blob_of(DATA), 3, 0, b"abc"))
    assert isinstance(wrong, InvalidRequest)
    owner.part(BlobPart(blob_of(DATA), len(DATA), 0, DATA[:10]))
    assert isinstance(owner.part(BlobPart(blob_of(DATA), 20, 10, DATA[:10])), InvalidRequest)
    assert owner.files() == []
    assert owner.put(DATA) == len(DATA)


def test_a_job_whose_blob_is_not_there_is_refused() -> None:
    owner = Owner(MemoryFileSystem())
    assert isinstance(owner.enqueue(spec_of(DATA)), BlobLost)
    owner.put(DATA, number=2)
    assert isinstance(owner.enqueue(spec_of(DATA)), BlobLost)
    assert not owner.state.jobs
    owner.put(DATA)
    assert owner.enqueue(spec_of(DATA)) == EnqueueReply(1)
    assert owner.enqueue(spec_of(DATA)) == EnqueueReply(0, [0])


def test_a_disk_without_room_stores_nothing() -> None:
    fs = FaultFileSystem()
    owner = Owner(fs)
    fs.capacity = fs.used + 3000
    assert isinstance(owner.put(DATA), StorageFull)
    assert owner.files() == []
    assert owner.put(DATA[:2000]) == 2000
    fs.capacity = None
    assert owner.put(DATA) == len(DATA)


def test_when_space_is_low_results_go_before_payloads() -> None:
    owner = Owner(MemoryFileSystem())
    owner.engine.commits.low_space = True
    assert isinstance(owner.put(DATA), StorageFull)
    assert owner.put(DATA, kind="result") == len(DATA)


def test_a_disk_that_fills_in_the_middle_keeps_no_half() -> None:
    fs = FaultFileSystem()
    owner = Owner(fs)
    fs.fail(Fault(2, error=errno.ENOSPC, kinds=frozenset({"write"}), effect="half"))
    assert isinstance(owner.put(DATA), StorageFull)
    assert owner.files() == []


def test_an_unfinished_blob_is_given_up_and_may_begin_again() -> None:
    clock = StandingClock()
    owner, blob = Owner(MemoryFileSystem(), clock), blob_of(DATA)
    owner.part(BlobPart(blob, len(DATA), 0, DATA[:2000]))
    clock.at += IDLE + SWEEP
    owner.engine.tick()
    assert owner.files() == []
    assert owner.part(BlobPart(blob, len(DATA), 2000, DATA[2000:4000])) == 0
    assert owner.put(DATA) == len(DATA)


def test_the_number_of_unfinished_blobs_is_bounded() -> None:
    clock = StandingClock()
    owner = Owner(MemoryFileSystem(), clock)

    def begin(number: int) -> Any:
        clock.at += 0.001
        return owner.part(BlobPart(blob_of(DATA, number), len(DATA), 0, DATA[:2000]))

    assert [begin(number) for number in range(MAX_UPLOADS)] == [2000] * MAX_UPLOADS
    assert isinstance(begin(MAX_UPLOADS), Unavailable)
    assert owner.part(BlobPart(blob_of(DATA, 0), len(DATA), 2000, DATA[2000:])) == len(DATA)
    assert begin(MAX_UPLOADS) == 2000
    clock.at += REPLACEABLE
    assert begin(MAX_UPLOADS + 1) == 2000
    # The one that made way begins again.
    assert owner.part(BlobPart(blob_of(DATA, 1), len(DATA), 2000, DATA[2000:])) == 0
    assert len(owner.files()) == MAX_UPLOADS + 1


def test_the_parts_in_memory_are_bounded() -> None:
    later = Later()
    owner, boxes = Owner(MemoryFileSystem(), beside=later), []
    for number in range(MAX_QUEUED + 1):
        boxes.append(Box())
        part = BlobPart(blob_of(DATA, number), len(DATA), 0, DATA)
        owner.engine.blobs.put(part, boxes[-1])
    assert [box.empty for box in boxes] == [True] * MAX_QUEUED + [False]
    assert isinstance(boxes[-1].answer, Unavailable)
    later.run()
    assert all(box.answer == len(DATA) for box in boxes[:-1])
    owner.engine.blobs.put(part, box := Box())
    later.run()
    assert box.answer == len(DATA)


def test_many_are_collected_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "PORTION", 3)
    clock = StandingClock()
    owner = Owner(MemoryFileSystem(), clock)
    for number in range(10):
        owner.put(DATA, number)
    clock.at += GRACE
    for _ in range(3):
        owner.engine.tick()
    assert len(owner.files()) == 10
    # Meanwhile somebody means one of them.
    assert owner.enqueue(spec_of(DATA, 5)) == EnqueueReply(1)
    owner.engine.tick()
    assert owner.files() == [blob_name(blob_of(DATA, 5), 1).removeprefix("blobs/")]


def test_what_is_on_its_way_out_cannot_be_meant() -> None:
    clock, later = StandingClock(), Later()
    owner = Owner(MemoryFileSystem(), clock, later)
    box = Box()
    owner.engine.blobs.put(BlobPart(blob_of(DATA), len(DATA), 0, DATA), box)
    later.run()
    clock.at += GRACE
    assert owner.engine.blobs.sweep(clock.now()) == [blob_of(DATA)]
    # It is on its way out: who means it now must wait, or send it anew.
    assert isinstance(owner.part(BlobPart(blob_of(DATA), len(DATA), 0, DATA)), Unavailable)
    assert isinstance(owner.enqueue(spec_of(DATA)), BlobLost)
    later.run()
    assert owner.files() == []
    owner.engine.blobs.put(BlobPart(blob_of(DATA), len(DATA), 0, DATA), box)
    later.run()
    assert owner.enqueue(spec_of(DATA)) == EnqueueReply(1)


def test_nothing_is_removed_before_it_is_durable_that_nobody_needs_it() -> None:
    owner = Owner(MemoryFileSystem())
    owner.put(DATA)
    owner.enqueue(spec_of(DATA))
    owner.engine.command(Cancel([job_id(1)], ""), "cancel", _nothing)
    owner.held = []
    owner.engine.command(Purge([job_id(1)]), "purge", _nothing)
    assert owner.engine.blobs.sweep(owner.clock.now()) == [blob_of(DATA)]
    assert len(owner.files()) == 1
    owner.held[0]()
    assert owner.files() == []


def test_a_blob_stays_while_the_history_is_asked_about_its_job() -> None:
    clock = StandingClock()
    owner = Owner(MemoryFileSystem(), clock)
    owner.put(DATA)
    clock.at += GRACE - 1
    owner.state.forgotten_before = clock.at
    box = Box()
    owner.engine.enqueue(raw_batch([spec_of(DATA)]), box)
    clock.at += 2
    owner.engine.blobs.sweep(clock.now())
    owner.asked[0]({})
    assert box.answer == EnqueueReply(1)
    assert owner.get(blob_of(DATA)) == DATA


def test_a_name_that_may_not_be_durable_is_taken_back() -> None:
    fs = FaultFileSystem()
    owner = Owner(fs)
    fs.make_directory("blobs")
    fs.fail(Fault(1, kinds=frozenset({"sync_directory"})))
    assert isinstance(owner.put(DATA), Unavailable)
    assert owner.files() == []
    assert owner.put(DATA) == len(DATA)


def test_whoever_means_an_old_blob_keeps_it() -> None:
    clock = StandingClock()
    owner = Owner(MemoryFileSystem(), clock)
    owner.put(DATA)
    clock.at += GRACE - 1
    assert owner.put(DATA) == len(DATA)
    clock.at += GRACE - 1
    owner.engine.tick()
    assert owner.enqueue(spec_of(DATA)) == EnqueueReply(1)
    clock.at += 2 * GRACE
    owner.engine.tick()
    assert owner.get(blob_of(DATA)) == DATA


def test_a_blob_that_cannot_be_removed_is_tried_again() -> None:
    fs, clock = FaultFileSystem(), StandingClock()
    owner = Owner(fs, clock)
    owner.put(DATA)
    fault = fs.fail(Fault(1, kinds=frozenset({"remove"})))
    clock.at += GRACE
    owner.engine.tick()
    assert fault.fired == 1
    assert len(owner.files()) == 1
    clock.at += SWEEP
    owner.engine.tick()
    assert owner.files() == []


def test_what_is_left_over_after_a_crash_is_collected() -> None:
    fs, clock = FaultFileSystem(), StandingClock()
    owner = Owner(fs, clock)
    owner.put(DATA)
    owner.part(BlobPart(blob_of(DATA[:9]), 9, 0, DATA[:3]))
    assert len(owner.files()) == 2
    fs.crash_process()
    owner = Owner(fs, clock)
    assert len(owner.files()) == 1
    clock.at += GRACE
    owner.engine.tick()
    assert owner.files() == []


# --- a predecessor that still lives ----------------------------------------------------------


def test_a_fenced_owner_acknowledges_no_blob() -> None:
    fs = MemoryFileSystem()
    old = Owner(fs)
    Owner(fs)
    assert isinstance(old.put(DATA), Fenced)


def test_a_fenced_owner_removes_nothing_that_its_successor_accepts() -> None:
    fs, old_clock = MemoryFileSystem(), StandingClock()
    later = Later()
    old = Owner(fs, old_clock, later)
    old.engine.blobs.put(BlobPart(blob_of(DATA), len(DATA), 0, DATA), Box())
    later.run()
    old_clock.at += GRACE
    assert old.engine.blobs.sweep(old_clock.now()) == [blob_of(DATA)]
    # It is decided and not yet done, and the old owner stands still. Its client goes on elsewhere.
    new = Owner(fs)
    assert new.enqueue(spec_of(DATA)) == EnqueueReply(1)
    later.run()
    assert new.get(blob_of(DATA)) == DATA
    assert verify(fs).sound


def test_of_two_copies_the_newer_stays() -> None:
    fs = MemoryFileSystem()
    owner = Owner(fs)
    owner.put(DATA)
    fs.move(blob_name(blob_of(DATA), 1), blob_name(blob_of(DATA), 0), replace=False)
    again = Owner(fs)
    again.put(DATA)
    with fs._mutex:
        fs._files[blob_name(blob_of(DATA), 1)] = bytearray(DATA)
    last = Owner(fs)
    assert last.files() == [blob_name(blob_of(DATA), 3).removeprefix("blobs/")]
    assert last.get(blob_of(DATA)) == DATA


# --- whatever goes wrong ---------------------------------------------------------------------


def _life(fs: FaultFileSystem) -> bool:
    """Put and enqueue, as a client would that repeats what it is told to; whether it was done."""
    owner = Owner(fs)
    for _ in range(5):
        if owner.put(DATA) == len(DATA):
            break
    else:
        return False
    return isinstance(owner.enqueue(spec_of(DATA)), EnqueueReply)


def _steps() -> tuple[int, int]:
    fs = FaultFileSystem()
    Owner(fs)
    before = fs.operations
    assert _life(fs.copy())
    twin = FaultFileSystem()
    assert _life(twin)
    return before, twin.operations


def _holds(fs: FaultFileSystem, acknowledged: bool) -> None:
    """No job without its blob; and none is lost that was acknowledged."""
    owner = Owner(fs)
    assert verify(fs).sound
    if acknowledged:
        assert job_id(1) in owner.state.jobs
    if owner.state.jobs:
        assert owner.get(blob_of(DATA)) == DATA
    # Either way it can be done now, and leaves nothing else.
    assert owner.put(DATA) == len(DATA)
    assert isinstance(owner.enqueue(spec_of(DATA)), EnqueueReply)
    assert len(owner.files()) == 1


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_a_power_cut_at_each_operation(seed: int | None) -> None:
    first, last = _steps()
    assert last - first > 10
    for at in range(first, last + 2):
        fs = FaultFileSystem()
        fs.cut_power_at(at)
        try:
            acknowledged = _life(fs)
        except PowerCut:
            acknowledged = False
        fs.reboot(None if seed is None else Random(seed * 1000 + at))
        _holds(fs, acknowledged)


def test_a_power_cut_right_after_the_acknowledgement() -> None:
    fs = FaultFileSystem()
    assert _life(fs)
    fs.reboot()
    _holds(fs, True)


@pytest.mark.parametrize("effect", ["none", "half", "whole"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("forever", [False, True])
def test_an_error_at_each_operation(effect: str, error: int, forever: bool) -> None:
    first, last = _steps()
    for at in range(first, last + 1):
        fs = FaultFileSystem()
        fault = fs.fail(Fault(at, error, forever, effect=effect))
        try:
            acknowledged = _life(fs)
        except Exception:
            acknowledged = False
        assert fault.seen
        fs.heal()
        fs.reboot()
        _holds(fs, acknowledged)


# --- without an owner ------------------------------------------------------------------------


def test_a_storage_that_nobody_owns_gives_its_blobs() -> None:
    fs = MemoryFileSystem()
    Owner(fs).put(DATA)
    desk = ReadingDesk(read_storage(fs))

    def get(blob: Blob, offset: int) -> bytes:
        answer = desk.answer("get_blob", msgspec.msgpack.encode(BlobWanted(blob, offset)))
        return msgspec.msgpack.decode(answer, type=bytes)

    assert (get(blob_of(DATA), 0), get(blob_of(DATA), 5000)) == (DATA, DATA[5000:])
    with pytest.raises(BlobLost):
        get(blob_of(DATA, 2), 0)
    with pytest.raises(InvalidRequest, match="reading only"):
        desk.answer("put_blob", b"")


# --- what `verify` says ----------------------------------------------------------------------


def test_verify_names_what_is_missing_damaged_or_left_over() -> None:
    fs = MemoryFileSystem()
    owner = Owner(fs)
    whole, gone, bad, left = DATA, DATA + b"2", DATA + b"3", DATA + b"4"
    for number, data in enumerate([whole, gone, bad, left], 1):
        owner.put(data, number)
    owner.enqueue(spec_of(whole, 1), spec_of(gone, 2), spec_of(bad, 3))
    found = verify(fs)
    assert (found.blobs, found.sound) == (4, True)
    fs.remove(blob_name(blob_of(gone, 2), 1))
    fs._files[blob_name(blob_of(bad, 3), 1)][7] ^= 1
    found = verify(fs)
    assert not found.sound
    assert found.missing_blobs == [blob_name(blob_of(gone, 2), 1).removesuffix(".1")]
    assert found.damaged_blobs == [blob_name(blob_of(bad, 3), 1)]
    assert found.orphaned_blobs == [blob_name(blob_of(left, 4), 1)]
    assert msgspec.json.encode(found)
