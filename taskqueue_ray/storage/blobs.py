"""The files of large payloads and results.

::

    blobs/<job id>-<payload or result>-<SHA-256>.<epoch>

A file is written aside, fsynced and moved to its name; then the directory is fsynced, and then the
fence is checked. So the next owner sees in its listing whatever this one has answered for.

The epoch in a name is for the fence as well. At its opening an owner renames what its state does
not name into its own epoch: a predecessor that still lives cannot remove that any more. What the
state does name, no predecessor removes: it removes only what durable events have made useless.
"""

import re
from contextlib import suppress
from hashlib import sha256
from typing import NamedTuple

from taskqueue_ray.core.blobs import CHUNK, Blob, is_needed, named_by, wanted_parents
from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.model import Job
from taskqueue_ray.core.state import State
from taskqueue_ray.storage.atomic import LEFTOVER, remove_leftovers
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.manifest import Fence

BLOBS = "blobs"
_NAME = re.compile(r"([0-9a-f]{32})-(payload|result)-([0-9a-f]{64})\.(\d+)")


class BlobFiles:
    """The blobs of a storage, for its owner. Any thread may read; one at a time writes."""

    def __init__(self, fs: FileSystem, fence: Fence) -> None:
        self._fs = fs
        self._fence = fence
        self.found: dict[Blob, int] = {}
        """The blobs that were there at the opening, and the epochs in their names."""

    @property
    def location(self) -> str:
        """Where they are, for messages."""
        return str(self._fs)

    @property
    def epoch(self) -> int:
        """The epoch of this owner's own blobs."""
        return self._fence.epoch

    def begin(self, blob: Blob, size: int) -> "Upload":
        """Begin a blob, with space for all of it. `OSError` when there is none: nothing is left."""
        self._fs.make_directory(BLOBS)
        return Upload(self._fs, self._fence, blob, size)

    def read(self, blob: Blob, epoch: int, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; `FileNotFoundError` when it is gone."""
        return self._fs.read(blob_name(blob, epoch), offset, size)

    def remove(self, blob: Blob, epoch: int) -> None:
        """Remove a blob that durable events have made useless; no error when it is gone."""
        with suppress(FileNotFoundError):
            self._fs.remove(blob_name(blob, epoch))


class Upload:
    """A blob that is being written. After an error, `discard` it."""

    def __init__(self, fs: FileSystem, fence: Fence, blob: Blob, size: int) -> None:
        self._fs = fs
        self._fence = fence
        self._blob = blob
        self._hash = sha256()
        self._name = blob_name(blob, fence.epoch)
        self._temporary = f"{self._name}{LEFTOVER}"
        with suppress(FileNotFoundError):
            fs.remove(self._temporary)  # of an upload that could not be discarded
        self._file = fs.create(self._temporary, size)
        self._placed = False
        self.size = size
        self.position = 0
        self.touched = 0.0

    def append(self, data: bytes) -> None:
        """Write the next bytes."""
        self._file.write(data)
        self._hash.update(data)
        self.position += len(data)

    def finish(self) -> None:
        """All is written: on return the blob is durable, and any next owner will find it.

        Raises `InvalidRequest` when these are not the bytes that were announced, `Fenced`.
        """
        if self._hash.digest() != self._blob.digest:
            raise InvalidRequest("the bytes of a blob are not those that its SHA-256 names")
        self._file.sync()
        self._file.close()
        self._fs.move(self._temporary, self._name, replace=True)
        self._placed = True
        self._fs.sync_directory(BLOBS)
        self._placed = False
        self._fence.check()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        with suppress(OSError):
            self._fs.remove(self._name if self._placed else self._temporary)


def open_blobs(fs: FileSystem, fence: Fence, state: State) -> BlobFiles:
    """The blobs of a storage that was just taken over and recovered; see the module."""
    files = BlobFiles(fs, fence)
    if not fs.list(BLOBS):
        return files
    remove_leftovers(fs, BLOBS)
    for blob, epoch in list_blobs(fs):
        if blob in files.found:
            # Of two of the same the older may be a predecessor's to remove.
            fs.remove(blob_name(blob, min(epoch, files.found[blob])))
            files.found[blob] = max(epoch, files.found[blob])
        else:
            files.found[blob] = epoch
    moved = False
    for blob, epoch in list(files.found.items()):
        if epoch != fence.epoch and not is_needed(state, blob):
            try:
                fs.move(blob_name(blob, epoch), blob_name(blob, fence.epoch), replace=True)
            except FileNotFoundError:  # the predecessor was faster
                del files.found[blob]
                continue
            files.found[blob] = fence.epoch
            moved = True
    if moved:
        fs.sync_directory(BLOBS)
    return files


class Census(NamedTuple):
    """Every blob looked at: how many, their bytes, and the names of those that are not right."""

    blobs: int
    size: int
    missing: list[str]
    damaged: list[str]
    orphaned: list[str]


def take_census(fs: FileSystem, state: State) -> Census:
    """Compare the blobs with what the state names, and each with its own SHA-256."""
    wanted = dict(
        named
        for job in (*state.jobs.values(), *state.settled.values())
        if isinstance(job, Job)
        for named in named_by(job)
    )
    there = list_blobs(fs)
    damaged, total = [], 0
    for blob, epoch in there:
        size, digest = _weighed(fs, blob_name(blob, epoch))
        total += size
        if digest != blob.digest or wanted.get(blob, size) != size:
            damaged.append(blob_name(blob, epoch))
    found = {blob for blob, _ in there}
    missing = [f"{BLOBS}/{_stem(blob)}" for blob in wanted if blob not in found]
    kept = wanted_parents(state)
    orphaned = [
        blob_name(blob, epoch)
        for blob, epoch in there
        if not is_needed(state, blob) and not (blob.kind == "result" and blob.job in kept)
    ]
    return Census(len(there), total, missing, damaged, orphaned)


def _weighed(fs: FileSystem, name: str) -> tuple[int, bytes]:
    """The size and the SHA-256 of a file, read in parts."""
    file, hashed = fs.open(name), sha256()
    try:
        for offset in range(0, file.size, CHUNK):
            hashed.update(file.read(offset, CHUNK))
        return file.size, hashed.digest()
    finally:
        file.close()


def list_blobs(fs: FileSystem) -> list[tuple[Blob, int]]:
    """Every blob that is there, with the epoch in its name."""
    return [
        (Blob(bytes.fromhex(match[1]), match[2], bytes.fromhex(match[3])), int(match[4]))  # type: ignore[arg-type]  # what the pattern allows
        for match in map(_NAME.fullmatch, fs.list(BLOBS))
        if match is not None
    ]


def blob_name(blob: Blob, epoch: int) -> str:
    """The file of a blob."""
    return f"{BLOBS}/{_stem(blob)}.{epoch}"


def _stem(blob: Blob) -> str:
    return f"{blob.job.hex()}-{blob.kind}-{blob.digest.hex()}"
