"""The file system as a seam: eleven primitives, and the real disk.

Everything durable is built from these primitives by `atomic`, `manifest`, `journal` and
`recovery`, so a fake with a misbehaving disk (`tests/faultfs.py`) exercises the very same code.

Names are relative POSIX paths below one root (`"journal/000000000001.log"`). Errors are `OSError`
as the operating system gives them; what an error means is for the caller to decide. All methods
may be called from any thread; one `WritableFile` belongs to one thread at a time.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})

# macOS has no fdatasync; its fsync is what the platform offers.
_sync_data = getattr(os, "fdatasync", os.fsync)


class WritableFile(Protocol):
    """A file that its creator appends to."""

    def write(self, data: bytes) -> None:
        """Append all of `data`. Nothing is durable yet.

        On an error any part of `data` may be in the file: `truncate` before the next write.
        """

    def sync(self) -> None:
        """On return all that was written is durable (but see `FileSystem.sync_directory`).

        After an error nothing is known about any write since the last good `sync`, and a later
        `sync` that succeeds does not change that: the kernel drops the pages that it could not
        write and reports the error once.
        """

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes and append from there. The reservation beyond is given up.

        Durable with the next `sync`.
        """

    def close(self) -> None:
        """Release the file. Makes nothing durable. May be called twice."""


class ReadableFile(Protocol):
    """A file that is read in parts. It stays what it was when another file takes its name."""

    size: int
    """Its bytes when it was opened."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`."""

    def close(self) -> None:
        """Release the file. May be called twice."""


class Lock(Protocol):
    """An exclusive lock that is held until it is released or the process dies."""

    def release(self) -> None:
        """Give the lock up. May be called twice."""


class FileSystem(Protocol):
    """Where a storage's files live."""

    def create(self, name: str, reserve: int = 0) -> WritableFile:
        """Make a new file; `FileExistsError` when the name is taken.

        With `reserve`, that many bytes of space are set aside: they read as zeros until written,
        and writing them cannot fail for lack of space. When they cannot be had, the error says so
        and no file is left. The name is durable after `sync_directory`.
        """

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """The bytes of a file from `offset`, at most `size` of them (-1: to the end)."""

    def open(self, name: str) -> ReadableFile:
        """Open a file to read parts of it. For what is never appended to any more."""

    def exists(self, name: str) -> bool:
        """Whether the name is there now."""

    def list(self, directory: str) -> list[str]:
        """Sorted names of the entries of a directory, without their path; none if it is missing."""

    def move(self, source: str, target: str, *, replace: bool) -> None:
        """Give a file another name in one step; durable after `sync_directory` of both places.

        Without `replace` a target that exists is a `FileExistsError`, and of several writers that
        race for one name exactly one wins: every claim in this package rests on that.
        """

    def remove(self, name: str) -> None:
        """Remove a file or an empty directory; durable after `sync_directory`."""

    def shorten(self, name: str, size: int) -> None:
        """Cut a file that nobody writes any more to at most `size` bytes; not durable."""

    def make_directory(self, name: str) -> None:
        """Make a directory with its parents, durable on return; no error when it is there."""

    def sync_directory(self, name: str) -> None:
        """On return the entries made, moved and removed in this directory are durable."""

    def lock(self, name: str) -> Lock | None:
        """Take the exclusive lock on a file, made if missing; None when another holds it.

        The file is never replaced or removed, else two could hold "the" lock.
        """


class LocalFileSystem:
    """A folder on a disk of this machine."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"LocalFileSystem({str(self.root)!r})"

    def __str__(self) -> str:
        return str(self.root)

    def create(self, name: str, reserve: int = 0) -> WritableFile:
        path = self.root / name
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _reserve(fd, reserve)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return _LocalFile(fd)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        # Unbuffered: the fence check and the headers read a few bytes.
        with (self.root / name).open("rb", buffering=0) as file:
            if offset:
                file.seek(offset)
            parts = []
            left = size
            while left != 0 and (part := file.read(left if left > 0 else -1)):
                parts.append(part)
                left = left - len(part) if size >= 0 else -1
            return b"".join(parts)

    def open(self, name: str) -> ReadableFile:
        return _LocalReader(os.open(self.root / name, os.O_RDONLY | os.O_CLOEXEC))

    def exists(self, name: str) -> bool:
        try:
            (self.root / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def list(self, directory: str) -> list[str]:
        try:
            return sorted(entry.name for entry in (self.root / directory).iterdir())
        except FileNotFoundError:
            return []

    def move(self, source: str, target: str, *, replace: bool) -> None:
        old, new = self.root / source, self.root / target
        if replace:
            old.replace(new)
        else:
            # rename() would replace silently; link() is the portable way to refuse.
            new.hardlink_to(old)
            with suppress(OSError):  # published all the same; leftovers go at the next opening
                old.unlink()

    def remove(self, name: str) -> None:
        path = self.root / name
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()

    def shorten(self, name: str, size: int) -> None:
        path = self.root / name
        if path.stat().st_size > size:
            os.truncate(path, size)

    def make_directory(self, name: str) -> None:
        path = self.root / name
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for directory in reversed(missing):
            directory.mkdir(mode=0o700, exist_ok=True)
            _sync_path(directory.parent)

    def sync_directory(self, name: str) -> None:
        _sync_path(self.root / name)

    def lock(self, name: str) -> Lock | None:
        fd = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            raise
        return _LocalLock(fd)


class _LocalFile:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._position = 0

    def write(self, data: bytes) -> None:
        written = os.pwrite(self._fd, data, self._position)
        while written < len(data):
            # The kernel writes what fits and names the reason at the next call.
            written += os.pwrite(self._fd, data[written:], self._position + written)
        self._position += written

    def sync(self) -> None:
        _sync_data(self._fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self._position = size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _LocalReader:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        while size and (part := os.pread(self._fd, size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _LocalLock:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)  # the lock belongs to the open file and goes with it
            self._fd = -1


def _reserve(fd: int, size: int) -> None:
    if size <= 0 or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


def _sync_path(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def parent_of(name: str) -> str:
    """The directory part of a name; `""` is the root."""
    return name.rpartition("/")[0]
