"""Reading the journal back, believing nothing.

The rules:

1. The manifest names the first segment, and the newest that it knew of. From the first to the
   newest in the folder every sequence number must be there.
2. Each segment begins with a whole header, because a segment gets its name only after its header
   is durable. Epochs never fall, and none is above the manifest's.
3. Of every segment but the newest exactly as many bytes count as its successor's header says, and
   they must have the checksum that stands there. What follows them is ignored.
4. In the newest segment the run of whole frames counts. Zeros after it are space not yet used. Any
   other bytes are a torn tail, which is cut and reported, unless a whole frame with a higher index
   comes somewhere after: since the writer waits for each fsync before the next write, only the
   last frame can be torn, so that is damage.
5. Everything else that does not fit is `StorageCorrupt`, which names the file and the offset.

Nothing here writes: cutting is what the header of the next segment does (`Journal.open`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from taskqueue_ray.core.errors import StorageCorrupt, StorageUnusable
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.frames import (
    SEGMENT_HEADER_SIZE,
    BadHeader,
    Frame,
    NewerFormat,
    SegmentHeader,
    checksum_of,
    decode_header,
    frames_from,
    next_frame_after,
    seed_of,
)
from taskqueue_ray.storage.manifest import JOURNAL, Manifest

_SUFFIX = ".log"


class SealedSegment(msgspec.Struct, frozen=True):
    """A segment that nobody adds to any more, and the part of it that counts.

    It holds the commits from `first_commit` up to, not including, `next_commit`.
    """

    sequence: int
    epoch: int
    length: int
    crc: int
    first_commit: int
    next_commit: int

    @property
    def name(self) -> str:
        """The file."""
        return segment_name(self.sequence)


@dataclass(frozen=True, slots=True)
class TornTail:
    """The remains of a write that was never finished: `size` bytes from `offset` on."""

    file: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class JournalEnd:
    """Where the journal ends: what the header of the next segment has to say.

    `carried` is the payload of the last commit when it has to be written again.
    """

    sequence: int
    length: int
    crc: int
    first_commit: int
    carried: bytes | None = None

    @classmethod
    def after(cls, sealed: SealedSegment) -> "JournalEnd":
        """The end of a journal whose last segment is this one, all of it known to be durable."""
        return cls(sealed.sequence, sealed.length, sealed.crc, sealed.next_commit)


class Replay:
    """The commits that a manifest's journal holds, for one pass.

    ::

        replay = Replay(fs, fence.manifest)
        for frame in replay.frames():
            apply(frame.payload)
        journal = Journal.open(fs, fence, replay.end, salt)
    """

    def __init__(self, fs: FileSystem, manifest: Manifest) -> None:
        """Read all headers and check that they form the chain that the manifest asks for."""
        self._fs = fs
        self._headers = _read_chain(fs, manifest)
        self._end: JournalEnd | None = None
        self.torn: TornTail | None = None
        self.sealed: tuple[SealedSegment, ...] = tuple(
            _sealed_by(header, successor)
            for header, successor in zip(self._headers, self._headers[1:], strict=False)
        )

    @property
    def end(self) -> JournalEnd:
        """Where the journal ends; known when `frames` has come to its end.

        `sealed` then also holds what was the newest segment, as far as it counts.
        """
        if self._end is None:
            raise RuntimeError("the frames have not been read to their end")
        return self._end

    def frames(self) -> Iterator[Frame]:
        """All commits in order, each checked. What came before an error is not to be used."""
        for sealed in self.sealed:
            yield from read_sealed(self._fs, sealed)
        if self._headers:
            yield from self._newest(self._headers[-1])
        else:
            self._end = JournalEnd(0, 0, 0, 1)

    def _newest(self, header: SegmentHeader) -> Iterator[Frame]:
        name = segment_name(header.sequence)
        data = _read_segment(self._fs, name)
        seed = seed_of(data)
        last: Frame | None = None
        commit = header.first_commit
        for frame in frames_from(seed, data, SEGMENT_HEADER_SIZE):
            _check_place(name, frame, header.epoch, commit)
            commit += 1
            last = frame
            yield frame
        offset = last.end if last else SEGMENT_HEADER_SIZE
        self.torn = _torn_tail(name, seed, data, offset, commit)
        self._finish(header, data, last, commit)

    def _finish(self, header: SegmentHeader, data: bytes, last: Frame | None, commit: int) -> None:
        length = last.offset if last else SEGMENT_HEADER_SIZE
        first = last.commit if last else commit
        crc = checksum_of(data[:length])
        self.sealed += (
            SealedSegment(header.sequence, header.epoch, length, crc, header.first_commit, first),
        )
        self._end = JournalEnd(header.sequence, length, crc, first, last.payload if last else None)


def read_sealed(fs: FileSystem, sealed: SealedSegment) -> Iterator[Frame]:
    """The commits of a sealed segment. `StorageCorrupt` at the first byte that does not fit."""
    name = sealed.name
    data = _read_segment(fs, name, sealed.length)
    header = _decode(name, data)
    seed = seed_of(data)
    offset, commit = SEGMENT_HEADER_SIZE, sealed.first_commit
    for frame in frames_from(seed, data, offset):
        _check_place(name, frame, header.epoch, commit)
        offset, commit = frame.end, commit + 1
        yield frame
    if offset != sealed.length:
        why = f"no whole commit here, and {sealed.length} bytes were sealed"
        raise StorageCorrupt(name, offset, why)
    if commit != sealed.next_commit or checksum_of(data) != sealed.crc:
        raise StorageCorrupt(name, 0, "it is not what was sealed")


def segment_name(sequence: int) -> str:
    """The file of that segment."""
    return f"{JOURNAL}/{sequence:012d}{_SUFFIX}"


def segment_sequences(fs: FileSystem) -> list[int]:
    """The numbers of all segments in the folder, needed or not, in order."""
    return sorted(
        int(entry.removesuffix(_SUFFIX))
        for entry in fs.list(JOURNAL)
        if entry.endswith(_SUFFIX) and entry.removesuffix(_SUFFIX).isdecimal()
    )


def _read_chain(fs: FileSystem, manifest: Manifest) -> list[SegmentHeader]:
    first = manifest.first_segment or 1
    found = [s for s in segment_sequences(fs) if s >= first]
    newest = max([*found, manifest.last_segment])
    if manifest.first_segment == 0 and not found:
        return []
    headers: list[SegmentHeader] = []
    for sequence in range(first, newest + 1):
        name = segment_name(sequence)
        header = _decode(name, _read_segment(fs, name, SEGMENT_HEADER_SIZE))
        _check_link(name, sequence, header, headers[-1] if headers else None, manifest)
        headers.append(header)
    return headers


def _check_link(
    name: str,
    sequence: int,
    header: SegmentHeader,
    predecessor: SegmentHeader | None,
    manifest: Manifest,
) -> None:
    before = manifest.snapshot.commit if manifest.snapshot else 0
    if header.sequence != sequence:
        why = f"it says that it is segment {header.sequence}"
    elif header.epoch > manifest.epoch:
        why = f"its epoch {header.epoch} is above the manifest's {manifest.epoch}"
    elif predecessor is None and header.first_commit != before + 1:
        why = f"it begins with commit {header.first_commit}, the snapshot ends with {before}"
    elif predecessor is not None and header.epoch < predecessor.epoch:
        why = f"its epoch {header.epoch} is below that of its predecessor"
    elif predecessor is not None and header.predecessor_length < SEGMENT_HEADER_SIZE:
        why = "it leaves nothing of its predecessor"
    else:
        return
    raise StorageCorrupt(name, 0, why)


def _sealed_by(header: SegmentHeader, successor: SegmentHeader) -> SealedSegment:
    return SealedSegment(
        header.sequence,
        header.epoch,
        successor.predecessor_length,
        successor.predecessor_crc,
        header.first_commit,
        successor.first_commit,
    )


def _read_segment(fs: FileSystem, name: str, size: int = -1) -> bytes:
    try:
        data = fs.read(name, 0, size)
    except FileNotFoundError:
        raise StorageCorrupt(name, 0, "this segment of the journal is missing") from None
    if len(data) < size:
        raise StorageCorrupt(name, len(data), f"it ends here, and {size} bytes of it are needed")
    return data


def _decode(name: str, data: bytes) -> SegmentHeader:
    try:
        return decode_header(data)
    except NewerFormat as error:
        raise StorageUnusable(name, str(error)) from error
    except BadHeader as error:
        raise StorageCorrupt(name, 0, str(error)) from error


def _check_place(name: str, frame: Frame, epoch: int, commit: int) -> None:
    if (frame.epoch, frame.commit) != (epoch, commit):
        why = (
            f"commit {frame.commit} of epoch {frame.epoch} stands where commit {commit} of "
            f"epoch {epoch} belongs"
        )
        raise StorageCorrupt(name, frame.offset, why)


def _torn_tail(name: str, seed: int, data: bytes, offset: int, commit: int) -> TornTail | None:
    size = _without_zeros(data, offset) - offset
    if size == 0:
        return None
    try:
        survivor = next_frame_after(seed, data, offset, commit)
    except OverflowError as error:
        raise StorageCorrupt(name, offset, str(error)) from error
    if survivor is not None:
        why = f"no whole commit here, and commit {survivor.commit} follows at {survivor.offset}"
        raise StorageCorrupt(name, offset, why)
    return TornTail(name, offset, size)


def _without_zeros(data: bytes, start: int) -> int:
    """Where the zeros at the end of `data[start:]` begin."""
    block = bytes(1 << 16)  # by blocks, since up to a whole segment may be unused
    end = len(data)
    while end - start >= len(block) and data.startswith(block, end - len(block)):
        end -= len(block)
    return start + len(data[start:end].rstrip(b"\0"))
