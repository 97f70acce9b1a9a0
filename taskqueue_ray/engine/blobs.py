"""Large payloads and results on the side of the queue: taken in, given out, collected.

Only which blobs there are is held in memory; their bytes go from a call to a file and back. See
`core.blobs` for what stands for one in a record, and `storage.blobs` for the files.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from taskqueue_ray.core.blobs import (
    CHUNK,
    MAX_BLOB,
    MAX_CHUNK,
    REFERENCE_SIZE,
    Blob,
    BlobPart,
    BlobWanted,
    is_needed,
    read_reference,
    wanted_parents,
)
from taskqueue_ray.core.errors import (
    BlobLost,
    InvalidRequest,
    PayloadTooLarge,
    StorageFull,
    TaskQueueError,
    Unavailable,
)
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.model import JobId, JobSpec
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.beside import Beside
from taskqueue_ray.engine.clock import Clock
from taskqueue_ray.engine.commits import Commits
from taskqueue_ray.engine.fleet import Respond
from taskqueue_ray.storage.blobs import BlobFiles, Upload
from taskqueue_ray.storage.filesystem import NO_SPACE

GRACE = 24 * 3600.0
"""Seconds for which a blob that no job names is kept: its enqueue may still come."""

REFUSED = 600.0
"""The same after an enqueue that did not store the job: its repeat would bring other bytes."""

IDLE = 600.0
"""Seconds without a part after which an unfinished blob is given up."""

MAX_UPLOADS = 256
"""Unfinished blobs at a time: each has an open file and space set aside."""

REPLACEABLE = 30.0
"""Seconds without a part after which an unfinished blob makes way for another."""

MAX_QUEUED = 32
"""Parts that wait to be written: they are what memory holds of blobs."""

SWEEP = 60.0
PORTION = 5_000
"""Blobs that are looked at in one tick."""

BUSY = "many large payloads and results are being sent at once"
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    """A blob that is durable. `touched` is when somebody last meant it."""

    epoch: int
    touched: float


class Blobs:
    """The blobs of one queue. All on the engine's thread, but for what it has done beside."""

    def __init__(
        self, state: State, commits: Commits, clock: Clock, files: BlobFiles | None, beside: Beside
    ) -> None:
        self._state = state
        self._commits = commits
        self._clock = clock
        self._files = files
        self._beside = beside
        now = clock.now()
        found = files.found if files else {}
        self._held = {blob: _Held(epoch, now) for blob, epoch in found.items()}
        self._doomed: set[Blob] = set()
        self._purged: set[JobId] = set()
        self._swept = now
        self._unseen: list[Blob] | None = None
        self._useless: list[Blob] = []
        self._queued = 0
        # Only touched by the work that is written beside, one after another.
        self._uploads: dict[Blob, Upload] = {}

    def put(self, part: BlobPart, respond: Respond) -> None:
        """Take in a part of a blob; answers with the offset that is wanted next.

        Any part may be repeated. After a restart an unfinished blob begins again, from 0.
        """
        files = self._need_files()
        _check(part)
        blob, now = part.blob, self._clock.now()
        if blob in self._doomed:
            respond(Unavailable("an earlier copy of these bytes is being removed"))
            return
        if (held := self._held.get(blob)) is not None:
            held.touched = now
            respond(part.size)
            return
        if self._commits.low_space and blob.kind == "payload":
            respond(StorageFull(files.location))
            return

        if self._queued >= MAX_QUEUED:
            respond(Unavailable(BUSY))
            return
        self._queued += 1

        def done(result: int | TaskQueueError) -> None:
            self._queued -= 1
            if result == part.size:
                self._held[blob] = _Held(files.epoch, self._clock.now())
            respond(result)

        write = partial(self._write, files, part, now)
        self._beside.write(lambda: _fate(files.location, write), done)

    def get(self, wanted: BlobWanted, respond: Respond) -> None:
        """Answers with bytes of a blob from an offset on; none at its end. `BlobLost`."""
        files, blob = self._need_files(), wanted.blob
        held = self._held.get(blob)
        if held is None:
            respond(_lost(blob, GONE))
        elif wanted.offset < 0:
            respond(InvalidRequest("an offset is negative"))
        else:
            read = partial(read_part, files.read, blob, held.epoch, wanted.offset)
            self._beside.read(read, respond)

    def missing(self, jobs: Iterable[JobSpec]) -> BlobLost | None:
        """Why new jobs cannot be taken in: a blob that one names is not here.

        Those that are here are kept for the enqueue that follows.
        """
        for blob in _payloads_of(jobs):
            held = None if blob in self._doomed else self._held.get(blob)
            if held is not None:
                held.touched = self._clock.now()
            elif not self._state.known(blob.job):
                return _lost(blob, "the queue does not have it any more: enqueue it again")
        return None

    def refused(self, jobs: Iterable[JobSpec]) -> None:
        """These jobs were not stored. What was sent for them need not be kept for long."""
        for blob in _payloads_of(jobs):
            if (held := self._held.get(blob)) is not None:
                held.touched = self._clock.now() - GRACE + REFUSED

    def forget(self, ids: Iterable[JobId]) -> None:
        """Records of these jobs were dropped: their results go with them."""
        if self._held:
            self._purged.update(ids)

    def tick(self, now: float) -> None:
        """Collect what nobody needs, from time to time and a portion at a time."""
        if self._unseen is None and now - self._swept >= SWEEP:
            self._begin_sweep(now)
        if self._unseen is not None:
            self._look(now, PORTION)

    def hasten(self) -> None:
        """Much may have become useless: begin to collect at the next tick."""
        self._swept = -SWEEP

    def sweep(self, now: float) -> list[Blob]:
        """Collect in one go; which blobs will be removed, once that is durable.

        A blob whose job has ended goes as soon as it is not needed, any other after `GRACE`.
        """
        self._begin_sweep(now)
        return self._look(now, len(self._held) + 1)

    def _begin_sweep(self, now: float) -> None:
        self._swept = now
        self._unseen, self._useless = list(self._held), []
        if self._uploads:
            self._beside.write(partial(self._give_up, now), lambda _: None)

    def _look(self, now: float, count: int) -> list[Blob]:
        assert self._unseen is not None
        portion, self._unseen = self._unseen[-count:], self._unseen[:-count]
        self._useless += [blob for blob in portion if self._is_useless(blob, now)]
        if self._unseen:
            return []
        self._unseen = None
        return self._doom([blob for blob in self._useless if self._is_useless(blob, now)])

    def _doom(self, useless: list[Blob]) -> list[Blob]:
        if any(blob.kind == "result" and blob.job not in self._purged for blob in useless):
            wanted = wanted_parents(self._state) - self._purged
            useless = [b for b in useless if b.kind == "payload" or b.job not in wanted]
        self._purged.clear()
        if useless and self._files is not None:
            self._doomed.update(useless)
            self._commits.then(partial(self._remove, self._files, useless))
        return useless

    def _is_useless(self, blob: Blob, now: float) -> bool:
        held = self._held.get(blob)
        if held is None or blob in self._doomed:
            return False
        if blob.job in self._purged and blob.job not in self._state.jobs:
            return True
        if is_needed(self._state, blob):
            return False
        return blob.job in self._state.settled or held.touched + GRACE <= now

    def _remove(self, files: BlobFiles, useless: list[Blob], error: TaskQueueError | None) -> None:
        for blob in useless:
            if error is not None:
                self._doomed.discard(blob)
                continue
            remove = partial(files.remove, blob, self._held[blob].epoch)
            work = partial(_fate, files.location, remove)
            self._beside.write(work, partial(self._removed, blob))

    def _removed(self, blob: Blob, error: TaskQueueError | None) -> None:
        self._doomed.discard(blob)
        if error is None:
            del self._held[blob]
        else:
            log.warning("a blob of job %s was not removed: %s", to_text(blob.job), error)

    def _need_files(self) -> BlobFiles:
        if self._files is None:
            raise InvalidRequest("this queue keeps nothing beside its journal")
        return self._files

    # --- beside -----------------------------------------------------------------------------

    def _write(self, files: BlobFiles, part: BlobPart, now: float) -> int:
        blob = part.blob
        upload = self._uploads.get(blob)
        if upload is None:
            if part.offset:
                return 0
            self._make_way(now)
            upload = self._uploads[blob] = files.begin(blob, part.size)
        upload.touched = now
        if part.offset != upload.position:
            return upload.position
        try:
            if part.size != upload.size:
                raise InvalidRequest("the parts of a blob do not agree about its size")
            upload.append(part.data)
            if upload.position < upload.size:
                return upload.position
            upload.finish()
        except Exception:
            self._uploads.pop(blob).discard()
            raise
        del self._uploads[blob]
        return part.size

    def _make_way(self, now: float) -> None:
        if len(self._uploads) < MAX_UPLOADS:
            return
        oldest = min(self._uploads, key=lambda blob: self._uploads[blob].touched)
        if self._uploads[oldest].touched + REPLACEABLE > now:
            raise Unavailable(BUSY)
        self._uploads.pop(oldest).discard()

    def _give_up(self, now: float) -> None:
        for blob in [b for b, upload in self._uploads.items() if upload.touched + IDLE <= now]:
            self._uploads.pop(blob).discard()


GONE = "its file is not there: it is dropped some time after its job has ended"


def read_part(
    read: Callable[[Blob, int, int, int], bytes], blob: Blob, epoch: int, offset: int
) -> bytes | TaskQueueError:
    """Bytes of a blob; or why there are none: a job that needs it must fail, not wait."""
    try:
        return read(blob, epoch, offset, CHUNK)
    except FileNotFoundError:
        return _lost(blob, GONE)
    except Exception as error:
        return _lost(blob, f"its file cannot be read: {error}")


def _payloads_of(jobs: Iterable[JobSpec]) -> Iterator[Blob]:
    """The payloads that are kept beside the journal: of most jobs, none."""
    for spec in jobs:
        if len(spec.payload) == REFERENCE_SIZE and (named := read_reference(spec.payload)):
            yield Blob(spec.id, "payload", named.digest)


def _lost(blob: Blob, why: str) -> BlobLost:
    return BlobLost(blob.kind, to_text(blob.job), why)


def _check(part: BlobPart) -> None:
    blob, end = part.blob, part.offset + len(part.data)
    if len(blob.job) != 16 or len(blob.digest) != 32:
        raise InvalidRequest("a blob has a malformed id or SHA-256")
    if part.size > MAX_BLOB:
        raise PayloadTooLarge(f"the sealed {blob.kind}", part.size, MAX_BLOB)
    if not 0 <= part.offset < end <= part.size or len(part.data) > MAX_CHUNK:
        raise InvalidRequest(
            f"a part of a blob must have from 1 to {MAX_CHUNK:,} bytes and lie inside of it"
        )


def _fate(location: str, work: Callable[[], T]) -> T | TaskQueueError:
    """What the work returns, or the error that tells whoever asked for it what to do."""
    try:
        return work()
    except TaskQueueError as error:
        return error
    except OSError as error:
        if error.errno in NO_SPACE:
            return StorageFull(location)
        return Unavailable(f"a large payload or result cannot be written: {error}")
    except Exception as error:
        log.exception("a blob could not be written")
        return Unavailable(f"a large payload or result cannot be written: {error!r}")
