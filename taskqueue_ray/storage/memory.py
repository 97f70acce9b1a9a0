"""Files in memory: `memory://`."""

import errno
import threading
from contextlib import suppress

from taskqueue_ray.storage.filesystem import Lock, ReadableFile, WritableFile, parent_of


class MemoryFileSystem:
    """Files that live as long as this object: `memory://`, for tests and throw-away queues."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._files: dict[str, bytearray] = {}
        self._directories: set[str] = {""}
        self._locked: set[str] = set()

    def create(self, name: str, reserve: int = 0) -> WritableFile:
        with self._mutex:
            if name in self._files:
                raise FileExistsError(errno.EEXIST, "file exists", name)
            if parent_of(name) not in self._directories:
                raise FileNotFoundError(errno.ENOENT, "no such directory", name)
            data = self._files[name] = bytearray()
            return _MemoryFile(data)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        with self._mutex:
            data = self._find(name)
            return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def open(self, name: str) -> ReadableFile:
        return BytesReader(self.read(name))

    def exists(self, name: str) -> bool:
        return name in self._files or name in self._directories

    def list(self, directory: str) -> list[str]:
        with self._mutex:
            entries = [*self._files, *(d for d in self._directories if d)]
            return sorted(e.rpartition("/")[2] for e in entries if parent_of(e) == directory)

    def move(self, source: str, target: str, *, replace: bool) -> None:
        with self._mutex:
            if not replace and target in self._files:
                raise FileExistsError(errno.EEXIST, "file exists", target)
            data = self._find(source)
            del self._files[source]
            self._files[target] = data

    def remove(self, name: str) -> None:
        with self._mutex:
            if name in self._directories:
                if self.list(name):
                    raise OSError(errno.ENOTEMPTY, "directory not empty", name)
                self._directories.remove(name)
            else:
                self._find(name)
                del self._files[name]

    def shorten(self, name: str, size: int) -> None:
        with self._mutex:
            del self._find(name)[size:]

    def make_directory(self, name: str) -> None:
        with self._mutex:
            while name:
                self._directories.add(name)
                name = parent_of(name)

    def sync_directory(self, name: str) -> None:
        if name not in self._directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory", name)

    def lock(self, name: str) -> Lock | None:
        with self._mutex:
            if name in self._locked:
                return None
            self._files.setdefault(name, bytearray())
            self._locked.add(name)
            return _MemoryLock(self._locked, name)

    def _find(self, name: str) -> bytearray:
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "no such file", name) from None


class BytesReader:
    """A `ReadableFile` over bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        pass


class _MemoryFile:
    def __init__(self, data: bytearray) -> None:
        self._data = data

    def write(self, data: bytes) -> None:
        self._data += data

    def sync(self) -> None:
        pass

    def truncate(self, size: int) -> None:
        del self._data[size:]

    def close(self) -> None:
        pass


class _MemoryLock:
    def __init__(self, locked: set[str], name: str) -> None:
        self._locked = locked
        self._name: str | None = name

    def release(self) -> None:
        if self._name is not None:
            with suppress(KeyError):
                self._locked.remove(self._name)
            self._name = None
