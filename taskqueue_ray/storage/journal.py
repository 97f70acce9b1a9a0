"""The writer of the journal: one frame, one write, one fsync, one look at the fence.

Thread rule: `commit`, `seal` and `close` belong to one thread, the writer. `reclaim` and the
properties may be used from any thread.

A commit that returned is durable and was made before anyone else took over (the argument stands
in `manifest`). Every failure has one of three meanings:

- `StorageFull`: nothing was written; the same payload may be committed again later.
- `Fenced`: another owner has taken over; nothing of this commit counts for certain.
- `CommitUnknown`: the disk failed. Whether the frame survives is decided by the next opening.

The last two are the end of this object: it refuses everything from then on. In particular a failed
fsync is never repeated, because the second one would succeed without having written anything.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from google_crc32c import extend

from taskqueue_ray.core.errors import (
    CommitUnknown,
    Fenced,
    QueueClosed,
    StorageFull,
    Unavailable,
)
from taskqueue_ray.storage.atomic import remove_leftovers, write_new
from taskqueue_ray.storage.ballast import Ballast
from taskqueue_ray.storage.filesystem import NO_SPACE, FileSystem, WritableFile
from taskqueue_ray.storage.frames import (
    SegmentHeader,
    checksum_of,
    encode_frame,
    encode_header,
    seed_of,
)
from taskqueue_ray.storage.manifest import JOURNAL, Fence
from taskqueue_ray.storage.recovery import JournalEnd, SealedSegment, segment_name

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Sizes in bytes."""

    segment_limit: int = 64 * MIB
    ballast: int = 8 * MIB


class Journal:
    """The one writer of a storage's journal."""

    def __init__(
        self, fs: FileSystem, fence: Fence, settings: JournalSettings, ballast: Ballast
    ) -> None:
        self._fs = fs
        self._fence = fence
        self._settings = settings
        self._ballast = ballast
        self._dead: CommitUnknown | Fenced | QueueClosed | None = None
        self._segment: _Segment

    @classmethod
    def open(
        cls,
        fs: FileSystem,
        fence: Fence,
        end: JournalEnd,
        salt: bytes,
        settings: JournalSettings | None = None,
    ) -> "Journal":
        """Begin a segment of this owner's epoch after `end`, which recovery found.

        The last commit before `end` is the only one whose fsync nobody can vouch for, so it is
        written again at the head of the new segment; on return everything that recovery read is
        durable. `salt` is 8 random bytes.

        Raises `Fenced`; `Unavailable` when an earlier writer was still rolling its segment: take
        over and recover again; `StorageFull`; `OSError`.
        """
        settings = settings or JournalSettings()
        ballast = Ballast(fs, settings.ballast)
        journal = cls(fs, fence, settings, ballast)
        fs.make_directory(JOURNAL)
        remove_leftovers(fs, JOURNAL)
        ballast.fill()
        try:
            journal._segment = journal._begin(end, salt)
        except FileExistsError:
            fence.check()
            raise Unavailable("an earlier writer of this storage was still at work") from None
        journal._announce()
        _trim(fs, end)
        return journal

    @property
    def next_commit(self) -> int:
        """The index that the next commit will have; the first ever is 1."""
        return self._segment.next_commit

    @property
    def sequence(self) -> int:
        """The number of the segment that is being written."""
        return self._segment.sequence

    @property
    def size(self) -> int:
        """Bytes committed to the present segment, its header included."""
        return self._segment.length

    @property
    def over_limit(self) -> bool:
        """Whether it is time to `seal`."""
        return self._segment.length >= self._settings.segment_limit

    @property
    def low_space(self) -> bool:
        """Whether the disk is so full that the ballast is gone: refuse new work, settle old."""
        return not self._ballast.held

    def commit(self, payload: bytes) -> None:
        """Make one group commit durable."""
        self._require_life()
        segment = self._segment
        frame = encode_frame(segment.seed, segment.epoch, segment.next_commit, payload)
        self._append(frame)
        try:
            segment.file.sync()
        except OSError as error:
            self._die(CommitUnknown(f"fsync of {segment.name} failed: {error}"))
        self._confirm()
        segment.extend(frame)

    def seal(self, salt: bytes) -> SealedSegment:
        """End the present segment and go on in a new one; returns the ended one.

        After `StorageFull` the present segment simply goes on. `salt` is 8 random bytes.
        """
        self._require_life()
        old = self._segment
        sealed = old.sealed()
        try:
            self._segment = self._begin(JournalEnd.after(sealed), salt)
        except StorageFull:
            raise
        except OSError as error:
            # Taken names mean a rival; all else leaves in doubt which segment is the newest.
            self._confirm()
            self._die(CommitUnknown(f"no new segment after {old.name}: {error}"))
        self._confirm()
        old.close(trim=True)
        return sealed

    def reclaim(self) -> bool:
        """Take back the ballast if the disk has room again; True when space is not low.

        Call it now and then while `low_space`. Errors other than lack of space are `OSError`s.
        """
        return self._ballast.fill()

    def close(self) -> None:
        """Release the segment, cut to what was committed. May be called twice, and when dead."""
        self._segment.close(trim=self._dead is None)
        self._dead = self._dead or QueueClosed("its journal is closed")

    def _announce(self) -> None:
        """Have the manifest name the segment, so that its loss would be noticed."""
        first = self._fence.manifest.first_segment or 1
        last = self._segment.sequence
        try:
            self._ballast.making_room(
                lambda: self._fence.publish(first_segment=first, last_segment=last)
            )
        except BaseException:
            self._segment.close(trim=False)
            raise

    def _begin(self, end: JournalEnd, salt: bytes) -> "_Segment":
        header = SegmentHeader(
            end.sequence + 1, self._fence.epoch, end.length, end.crc, end.first_commit, salt
        )
        head = encode_header(header)
        seed = seed_of(head)
        if end.carried is not None:
            head += encode_frame(seed, header.epoch, end.first_commit, end.carried)
        name = segment_name(header.sequence)
        file = self._create(name, head)
        carried = 0 if end.carried is None else 1
        return _Segment(file, header, seed, head, header.first_commit + carried)

    def _create(self, name: str, head: bytes) -> WritableFile:
        reserve = max(self._settings.segment_limit, len(head))
        attempts = ((reserve, False), (0, False), (0, True))
        for size, let_go in attempts:
            if let_go and not self._ballast.release():
                break
            try:
                return write_new(self._fs, name, head, size)
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
        raise StorageFull(JOURNAL)

    def _append(self, frame: bytes) -> None:
        if self._try_write(frame):
            return
        if self._release_ballast() and self._try_write(frame):
            return
        raise StorageFull(self._segment.name)

    def _try_write(self, frame: bytes) -> bool:
        """False when there is no room; then the segment ends at its last commit again."""
        segment = self._segment
        try:
            segment.file.write(frame)
        except OSError as error:
            if error.errno not in NO_SPACE:
                self._die(CommitUnknown(f"write to {segment.name} failed: {error}"))
        else:
            return True
        try:
            segment.file.truncate(segment.length)
        except OSError as error:
            self._die(CommitUnknown(f"cannot undo a write to {segment.name}: {error}"))
        return False

    def _release_ballast(self) -> bool:
        try:
            return self._ballast.release()
        except OSError as error:
            self._die(CommitUnknown(f"cannot let go of the ballast: {error}"))

    def _confirm(self) -> None:
        try:
            self._fence.check()
        except Fenced as fenced:
            self._die(fenced)
        except OSError as error:
            self._die(CommitUnknown(f"cannot see whether the epoch still stands: {error}"))

    def _require_life(self) -> None:
        if self._dead is not None:
            raise self._dead.with_traceback(None)

    def _die(self, why: CommitUnknown | Fenced) -> NoReturn:
        self._dead = why
        raise why


class _Segment:
    """The segment that is being written. `length` and `crc` are those of what was committed."""

    def __init__(
        self, file: WritableFile, header: SegmentHeader, seed: int, head: bytes, next_commit: int
    ) -> None:
        self.file = file
        self.sequence = header.sequence
        self.epoch = header.epoch
        self.name = segment_name(header.sequence)
        self.seed = seed
        self.first_commit = header.first_commit
        self.next_commit = next_commit
        self.length = len(head)
        self.crc = checksum_of(head)

    def extend(self, frame: bytes) -> None:
        self.length += len(frame)
        self.crc = extend(self.crc, frame)
        self.next_commit += 1

    def sealed(self) -> SealedSegment:
        return SealedSegment(
            self.sequence, self.epoch, self.length, self.crc, self.first_commit, self.next_commit
        )

    def close(self, *, trim: bool) -> None:
        if trim:
            with suppress(OSError):  # only gives reserved space back
                self.file.truncate(self.length)
        self.file.close()


def _trim(fs: FileSystem, end: JournalEnd) -> None:
    # The old segment may still hold its reserved space; a crash loop would fill the disk with it.
    if end.sequence:
        with suppress(OSError):
            fs.shorten(segment_name(end.sequence), end.length)
