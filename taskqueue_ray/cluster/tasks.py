"""What runs as Ray tasks on the node of the storage: folding and reading history.

These functions import Parquet where they run, so that the actors need not.
"""

import os

from taskqueue_ray.core.envelopes import encode
from taskqueue_ray.core.exchange import JobFilter, JobView
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.retention import Horizon
from taskqueue_ray.storage.filesystem import FileSystem, LocalFileSystem
from taskqueue_ray.storage.publication import FoldRequest, FoldResult

FOLD_NICENESS = 10


def fold_folder(location: str, request: FoldRequest) -> bytes:
    """Fold what a folder has sealed, giving way to whoever serves the queue.

    The process must be used for nothing else: only a privileged one could raise its priority again.
    """
    os.nice(FOLD_NICENESS)
    return encode(fold_here(LocalFileSystem(location), request))


def fold_here(fs: FileSystem, request: FoldRequest) -> FoldResult:
    """Fold in this process."""
    from taskqueue_ray.storage.compaction import fold

    return fold(fs, request)


def history_folder(location: str, since: float, columns: list[str] | None) -> bytes:
    """The history of a folder."""
    return history_here(LocalFileSystem(location), since, columns)


def history_here(fs: FileSystem, since: float, columns: list[str] | None) -> bytes:
    """History rows, in Arrow's stream format."""
    from taskqueue_ray.storage import history

    return history.to_bytes(history.read_history(fs, since, columns))


def past_folder(location: str, ids: list[JobId]) -> bytes:
    """Jobs of a folder's history."""
    return encode(past_here(LocalFileSystem(location), ids))


def past_here(fs: FileSystem, ids: list[JobId]) -> list[JobView]:
    """Jobs that only history knows."""
    from taskqueue_ray.storage.history import find

    return find(fs, ids)


def search_folder(location: str, wanted: JobFilter, limit: int) -> bytes:
    """Jobs of a folder's history that match."""
    return encode(search_here(LocalFileSystem(location), wanted, limit))


def search_here(fs: FileSystem, wanted: JobFilter, limit: int) -> list[JobView]:
    """Jobs of the history that match, the newest first."""
    from taskqueue_ray.storage.history import search

    return search(fs, wanted, limit)


def retain_folder(location: str, horizons: list[Horizon]) -> bytes:
    """Drop rows of a folder's history that are kept no longer."""
    return encode(retain_here(LocalFileSystem(location), horizons))


def retain_here(fs: FileSystem, horizons: list[Horizon]) -> int:
    """Drop rows of the history that are kept no longer; how many that were."""
    from taskqueue_ray.storage.history import retain

    return retain(fs, horizons)


def prune_folder(location: str, wanted: JobFilter, before: float, ids: list[JobId]) -> bytes:
    """Drop rows of a folder's history."""
    return encode(prune_here(LocalFileSystem(location), wanted, before, ids))


def prune_here(fs: FileSystem, wanted: JobFilter, before: float, ids: list[JobId]) -> int:
    """Drop rows of the history; how many that were."""
    from taskqueue_ray.storage.history import prune

    return prune(fs, wanted, before, ids)
