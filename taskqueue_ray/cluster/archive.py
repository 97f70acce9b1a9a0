"""The Parquet side of a storage, worked on in processes of their own on the storage's node.

A memory storage exists in one process only, and is worked on in a thread of it.
"""

import asyncio
from typing import Any

import ray

from taskqueue_ray.cluster import tasks
from taskqueue_ray.cluster.rim import NODE_LABEL, node_id
from taskqueue_ray.core.envelopes import decode
from taskqueue_ray.core.exchange import JobFilter, JobView
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.retention import Horizon
from taskqueue_ray.storage.filesystem import FileSystem, LocalFileSystem
from taskqueue_ray.storage.manifest import Fence
from taskqueue_ray.storage.publication import FoldRequest, FoldResult, publish, release_history


class Archive:
    """Folding and history of one storage."""

    def __init__(self, location: str, fs: FileSystem) -> None:
        self._location = location
        self._fs = fs
        self._replacing = asyncio.Lock()

    async def fold(self, request: FoldRequest) -> FoldResult:
        """Write the next snapshot and history."""
        if self._is_here:
            return await asyncio.to_thread(tasks.fold_here, self._fs, request)
        return decode(await self._task(tasks.fold_folder, "fold", request), FoldResult)

    async def publish(self, fence: Fence, result: FoldResult) -> None:
        """Make a fold true.

        Not while rows are dropped: that works on files which this manifest would vouch for, and
        both publish a manifest that they derive from the last one.
        """
        async with self._replacing:
            await asyncio.to_thread(publish, self._fs, fence, result)

    async def history(self, since: float, columns: list[str] | None) -> bytes:
        """Rows from `since` on, in Arrow's stream format."""
        if self._is_here:
            return await asyncio.to_thread(tasks.history_here, self._fs, since, columns)
        return bytes(await self._task(tasks.history_folder, "history", since, columns))

    async def find(self, ids: list[JobId]) -> list[JobView]:
        """Jobs by id."""
        if self._is_here:
            return await asyncio.to_thread(tasks.past_here, self._fs, ids)
        return decode(await self._task(tasks.past_folder, "past", ids), list[JobView])

    async def search(self, wanted: JobFilter, limit: int) -> list[JobView]:
        """Jobs that match, the newest first."""
        if self._is_here:
            return await asyncio.to_thread(tasks.search_here, self._fs, wanted, limit)
        return decode(await self._task(tasks.search_folder, "search", wanted, limit), list[JobView])

    async def prune(self, fence: Fence, wanted: JobFilter, before: float, ids: list[JobId]) -> int:
        """Drop rows; how many. One pruning at a time, since each replaces files."""
        async with self._replacing:
            await asyncio.to_thread(release_history, fence)
            if self._is_here:
                return await asyncio.to_thread(tasks.prune_here, self._fs, wanted, before, ids)
            return decode(await self._task(tasks.prune_folder, "prune", wanted, before, ids), int)

    async def retain(self, fence: Fence, horizons: list[Horizon]) -> int:
        """Drop rows that are kept no longer; how many. By the same rule."""
        async with self._replacing:
            await asyncio.to_thread(release_history, fence)
            if self._is_here:
                return await asyncio.to_thread(tasks.retain_here, self._fs, horizons)
            return decode(await self._task(tasks.retain_folder, "retain", horizons), int)

    @property
    def _is_here(self) -> bool:
        return not isinstance(self._fs, LocalFileSystem)

    async def _task(self, function: Any, name: str, *arguments: Any) -> Any:
        # A process whose priority was lowered is for nothing else afterwards.
        once = function is tasks.fold_folder
        task = ray.remote(max_calls=1)(function) if once else ray.remote(function)
        # By label, not by affinity: an affinity fails for good when the node is gone.
        placed = task.options(
            name=f"taskqueue:{name}",
            num_cpus=0,
            max_retries=1,
            label_selector={NODE_LABEL: node_id()},
        )
        return await placed.remote(self._location, *arguments)
