"""What a storage's URL means."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.storage.filesystem import FileSystem, LocalFileSystem
from taskqueue_ray.storage.memory import MemoryFileSystem

_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss"})

_memory: dict[str, MemoryFileSystem] = {}
_memory_mutex = threading.Lock()


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed storage URL. `place` is an absolute path, or the name of a memory storage."""

    kind: Literal["folder", "memory"]
    place: str

    def __str__(self) -> str:
        return self.place if self.kind == "folder" else f"memory://{self.place}"


def parse_location(url: str | Path) -> Location:
    """Read `/path`, `~/path`, a relative path, `file:///path` or `memory://name`.

    Anything else is an `InvalidRequest`.

    >>> str(parse_location("file:///data/queue"))
    '/data/queue'
    """
    if isinstance(url, Path):
        return _folder(str(url))
    if not isinstance(url, str):
        raise InvalidRequest(f"a storage is named by a path or a URL, not by {url!r}")
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _folder(url)
    match scheme.lower():
        case "file":
            return _file_url(url)
        case "memory":
            return _memory_url(url, rest)
        case bucket if bucket in _BUCKETS:
            raise InvalidRequest(
                f"{scheme}:// buckets are not supported yet: give a folder, such as /data/queue"
            )
    raise InvalidRequest(
        f"{url!r} is no storage: give a folder (/data/queue, file:///data/queue) or memory://name"
    )


def open_filesystem(location: Location) -> FileSystem:
    """The files of a location.

    The folder itself is not made. A memory storage is the same one for all who ask in this process.
    """
    if location.kind == "folder":
        return LocalFileSystem(location.place)
    with _memory_mutex:
        return _memory.setdefault(location.place, MemoryFileSystem())


def forget_memory(name: str) -> None:
    """Drop a memory storage and all that is in it."""
    with _memory_mutex:
        _memory.pop(name, None)


def _folder(path: str) -> Location:
    if not path.strip() or "\0" in path:
        raise InvalidRequest(f"{path!r} is no path of a folder")
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise InvalidRequest(f"{path!r}: {error}") from error
    # Not resolved: the folder may be reached by a link that is switched on purpose.
    return Location("folder", str(expanded.absolute()))


def _file_url(url: str) -> Location:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidRequest(f"{url!r}: {error}") from error
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InvalidRequest(f"{url!r} names no absolute path: write file:///path")
    if parts.query or parts.fragment:
        raise InvalidRequest(f"{url!r}: write ? and # in a path as %3F and %23")
    return _folder(unquote(parts.path))


def _memory_url(url: str, name: str) -> Location:
    if not name or not all(c.isalnum() or c in "._-" for c in name):
        raise InvalidRequest(f"{url!r}: the name takes letters, digits, '.', '_' and '-'")
    return Location("memory", name)
