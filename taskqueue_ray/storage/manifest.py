"""The manifest: the root of a storage, and the fence between its writers.

Manifests are numbered files, `MANIFEST.000000000007`, and the highest one is true. A new one is
made whole and durable under the next number by a move that refuses to replace, so manifests form
one chain, whoever writes them: of two writers that start from the same manifest, one succeeds.

The first line of the file is the format, its version and the SHA-256 of the rest; the rest is JSON.

Fencing. `take_over` adds a manifest with the next epoch and removes all lower ones, *then* reads
the journal. A writer commits in this order: write, fsync, check that its manifest still stands,
acknowledge. When the check finds it, the new owner had not yet removed it, so it had not begun to
read the journal, and will find the frame that was written before the check. When the check does
not find it, nothing is acknowledged, and it does not matter whether the new owner saw the frame
before it opened a segment of its own; after that it ignores what is added to the old one. This
needs one coherent view of the folder, which processes of one machine have: a folder is written
from one node only.
"""

import threading
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec

from taskqueue_ray.core.errors import Fenced, StorageCorrupt, StorageUnusable
from taskqueue_ray.storage.atomic import LEFTOVER, remove_leftovers, write_new
from taskqueue_ray.storage.ballast import Ballast
from taskqueue_ray.storage.filesystem import FileSystem

FORMAT = 1
JOURNAL = "journal"
# What may stand in a folder before its first manifest: the lock is taken before it is written.
_OWN_NAMES = frozenset({"LOCK", "OWNER", "BALLAST", JOURNAL, "lost+found"})
_PREFIX = "MANIFEST."
_TAG = "TQMANIFEST"


class FileRef(msgspec.Struct, frozen=True):
    """A file that the manifest vouches for."""

    name: str
    size: int
    sha256: str


class SnapshotRef(msgspec.Struct, frozen=True):
    """The fold of all commits up to and including `commit`."""

    commit: int
    files: tuple[FileRef, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the storage consists of.

    Segments from `first_segment` on are needed; `last_segment` is the newest that existed at
    publication, so that its absence is noticed. Both are 0 before the first journal.
    """

    number: int
    epoch: int
    owner: str
    snapshot: SnapshotRef | None = None
    first_segment: int = 0
    last_segment: int = 0


class Fence:
    """The right to write, taken by `take_over`, until someone else takes it.

    `check` may be called from any thread while another one publishes.
    """

    def __init__(self, fs: FileSystem, manifest: Manifest) -> None:
        self._fs = fs
        self._manifest = manifest
        self._standing = manifest_name(manifest.number)
        self._publishing = threading.Lock()

    @property
    def manifest(self) -> Manifest:
        """The manifest as this owner last published it."""
        return self._manifest

    @property
    def epoch(self) -> int:
        """The epoch of this owner."""
        return self._manifest.epoch

    def check(self) -> None:
        """Return while this owner's manifest stands; else raise `Fenced`. Costs one `stat`."""
        standing = self._standing
        while not self._fs.exists(standing):
            if standing == self._standing:
                raise self._fenced()
            standing = self._standing  # another thread published meanwhile

    def publish(self, **changes: Any) -> Manifest:
        """Make the manifest with these changed fields the true one, and return it.

        `Fenced` when someone else has taken over. After an `OSError` (a full disk, say) either
        manifest may be true: keep the files of both, and publish again when it passes. Only after
        a return may files go that the old manifest names and the new one does not.
        """
        with self._publishing:
            new = self._publish(changes)
            old, self._standing = self._standing, manifest_name(new.number)
            self._manifest = new
            with suppress(OSError):  # a lower one is harmless
                self._fs.remove(old)
            return new

    def _publish(self, changes: dict[str, Any]) -> Manifest:
        number = self._manifest.number + 1
        while True:
            new = msgspec.structs.replace(self._manifest, number=number, **changes)
            try:
                _write(self._fs, new)
            except FileExistsError:
                # Ours, when an earlier attempt reported an error after it had come through.
                if not self._is_mine(number):
                    raise self._fenced() from None
                number += 1
                continue
            if _numbers(self._fs)[-1] != number:
                raise self._fenced()
            return new

    def _is_mine(self, number: int) -> bool:
        try:
            found = load_manifest(self._fs, number)
        except FileNotFoundError:
            return False
        return found.owner == self._manifest.owner

    def _fenced(self) -> Fenced:
        current = 0
        with suppress(OSError, StorageCorrupt):
            newest = read_manifest(self._fs)
            current = newest.epoch if newest else 0
        return Fenced(self.epoch, current)


def take_over(fs: FileSystem, owner: str) -> Fence:
    """Fence off every earlier writer and become the owner.

    `owner` is a text that no other owner ever uses (128 random bits will do). Whether taking over
    is right is not decided here, see `owner`. On return the new epoch is durable, and whatever an
    earlier writer acknowledged can be read; what it does from now on counts for nothing.

    Raises `StorageCorrupt`; `StorageUnusable` for a folder that holds something else;
    `StorageFull` when the disk has no room for a manifest; `OSError`.
    """
    fs.make_directory("")
    ballast = Ballast(fs, 0)
    while True:
        current = read_manifest(fs)
        if current is None:
            _refuse_headless(fs)
            new = Manifest(number=1, epoch=1, owner=owner)
        else:
            new = msgspec.structs.replace(
                current, number=current.number + 1, epoch=current.epoch + 1, owner=owner
            )
        try:
            ballast.making_room(partial(_write, fs, new))
        except FileExistsError:
            continue  # a rival, or the owner, was faster: start from what it published
        _remove_below(fs, new.number)
        remove_leftovers(fs, "")
        return Fence(fs, new)


def read_manifest(fs: FileSystem) -> Manifest | None:
    """The true manifest; None in a folder that has none. `StorageCorrupt` when it is damaged."""
    while numbers := _numbers(fs):
        try:
            return load_manifest(fs, numbers[-1])
        except FileNotFoundError:
            continue  # a newer one has taken its place meanwhile
    return None


def load_manifest(fs: FileSystem, number: int) -> Manifest:
    """The manifest of that number, checked."""
    name = manifest_name(number)
    data = fs.read(name)
    head, _, body = data.partition(b"\n")
    tag, _, rest = head.decode("ascii", "replace").partition(" ")
    version, _, digest = rest.partition(" ")
    if tag != _TAG:
        raise StorageCorrupt(name, 0, "this is not a manifest")
    if digest != sha256(version.encode() + body).hexdigest():
        raise StorageCorrupt(name, 0, "its checksum does not fit")
    if version != str(FORMAT):
        raise StorageUnusable(name, f"format {version} needs a newer version of this package")
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise StorageCorrupt(name, len(head) + 1, str(error)) from error
    if manifest.number != number:
        raise StorageCorrupt(name, len(head) + 1, f"it says that it is number {manifest.number}")
    return manifest


def manifest_name(number: int) -> str:
    """The name of the manifest file of that number."""
    return f"{_PREFIX}{number:012d}"


def file_ref(name: str, data: bytes) -> FileRef:
    """What a manifest records about a file of this content."""
    return FileRef(name, len(data), sha256(data).hexdigest())


def read_checked(fs: FileSystem, ref: FileRef) -> bytes:
    """A file that a manifest names, checked before anyone parses it; `StorageCorrupt` else."""
    try:
        data = fs.read(ref.name)
    except FileNotFoundError:
        raise StorageCorrupt(ref.name, 0, "the manifest names it and it is missing") from None
    if len(data) != ref.size:
        where = min(len(data), ref.size)
        raise StorageCorrupt(ref.name, where, f"it has {len(data)} bytes instead of {ref.size}")
    if sha256(data).hexdigest() != ref.sha256:
        raise StorageCorrupt(ref.name, 0, "its SHA-256 is not the one in the manifest")
    return data


def _write(fs: FileSystem, manifest: Manifest) -> None:
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    version = str(FORMAT)
    digest = sha256(version.encode() + body).hexdigest()
    head = f"{_TAG} {version} {digest}\n".encode()
    write_new(fs, manifest_name(manifest.number), head + body).close()


def _numbers(fs: FileSystem) -> list[int]:
    return [
        int(entry.removeprefix(_PREFIX))
        for entry in fs.list("")
        if entry.startswith(_PREFIX) and entry.removeprefix(_PREFIX).isdigit()
    ]


def _remove_below(fs: FileSystem, number: int) -> None:
    # This is what fences: it must succeed, and must come before the journal is read.
    for lower in _numbers(fs):
        if lower < number:
            with suppress(FileNotFoundError):
                fs.remove(manifest_name(lower))


def _refuse_headless(fs: FileSystem) -> None:
    if any(entry.endswith(".log") for entry in fs.list(JOURNAL)):
        raise StorageCorrupt(manifest_name(1), 0, "there is a journal and no manifest")
    strangers = [e for e in fs.list("") if e not in _OWN_NAMES and not e.endswith(LEFTOVER)]
    if strangers:
        raise StorageUnusable(str(fs), f"it is no queue and holds other files ({strangers[0]!r})")
