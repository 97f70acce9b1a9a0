"""W2: how long one call takes on an idle system, in seconds; and what a disk needs."""

import os
import time
from pathlib import Path
from statistics import median

from taskqueue_ray.cli.bench.jobs import PAD, add
from taskqueue_ray.sdk.client import TaskQueue


def enqueue_and_result(queue: TaskQueue, count: int) -> tuple[float, float]:
    """The medians of a durable enqueue, and from its start to the result in the caller."""
    enqueues, results = [], []
    for number in range(count):
        began = time.perf_counter()
        handle = queue.enqueue(add, number, 1, PAD)
        enqueues.append(time.perf_counter() - began)
        handle.result(timeout=60)
        results.append(time.perf_counter() - began)
    return median(enqueues), median(results)


def pipelined_enqueue(queue: TaskQueue, count: int) -> float:
    """The median of an enqueue inside a pipeline, which does not wait."""
    times = []
    with queue.pipeline() as pipeline:
        for number in range(count):
            began = time.perf_counter()
            _ = pipeline.enqueue(add, number, 1, PAD)
            times.append(time.perf_counter() - began)
    return median(times)


def fsync_seconds(folder: Path, count: int = 100, size: int = 512) -> float:
    """The median of a small write that is made durable, in that folder."""
    times = []
    path = folder / "fsync-trial"
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * size)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return median(times)
