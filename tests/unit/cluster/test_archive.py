"""Publishing a fold and dropping rows both change the manifest and the files that it names."""

import asyncio
import threading

import pytest

from taskqueue_ray.cluster import archive as archives
from taskqueue_ray.cluster import tasks
from taskqueue_ray.cluster.archive import Archive
from taskqueue_ray.core.exchange import JobFilter
from taskqueue_ray.core.model import JobId
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.manifest import Fence, take_over
from taskqueue_ray.storage.memory import MemoryFileSystem
from taskqueue_ray.storage.publication import FoldResult


def test_no_fold_becomes_true_while_rows_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    fs = MemoryFileSystem()
    fence = take_over(fs, "here")
    archive = Archive("memory://", fs)
    steps: list[str] = []
    dropping, go_on = threading.Event(), threading.Event()

    def prune(fs: FileSystem, wanted: JobFilter, before: float, ids: list[JobId]) -> int:
        steps.append("prune begins")
        dropping.set()
        assert go_on.wait(10)
        steps.append("prune ends")
        return 3

    def publish(fs: FileSystem, fence: Fence, result: FoldResult) -> None:
        steps.append("publish")

    monkeypatch.setattr(tasks, "prune_here", prune)
    monkeypatch.setattr(archives, "publish", publish)
    monkeypatch.setattr(archives, "release_history", lambda _: steps.append("release"))

    async def both() -> int:
        pruning = asyncio.create_task(archive.prune(fence, JobFilter(), 0.0, []))
        await asyncio.to_thread(dropping.wait, 10)
        publishing = asyncio.create_task(archive.publish(fence, FoldResult(1, 1, (), 0)))
        # What the publication does on its own is a thread's work: let that come to its end.
        for _ in range(3):
            await asyncio.to_thread(lambda: None)
        go_on.set()
        await publishing
        return await pruning

    assert asyncio.run(both()) == 3
    assert steps == ["release", "prune begins", "prune ends", "publish"]
