"""W2: how long one call takes on an idle system, in seconds; and what a disk needs."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from taskqueue_ray.cli.bench.jobs import PAD, add
from taskqueue_ray.sdk.client import TaskQueue


class Latency(NamedTuple):
    """Medians in seconds: of a bare round trip, a durable enqueue, and from there to the result."""

    round_trip: float
    enqueue: float
    result: float


def one_after_another(
    queue: TaskQueue, round_trip: Callable[[], float], count: int, pause: float = 0.0
) -> Latency:
    """Jobs in turn with bare round trips, two for each: both see the machine as it is then.

    With a `pause` in seconds before each of them it is an idle one, on which processes sleep.
    """
    trips, enqueues, results = [], [], []
    for number in range(count):
        for _ in range(2):
            time.sleep(pause)
            trips.append(round_trip())
        time.sleep(pause)
        began = time.perf_counter()
        handle = queue.enqueue(add, number, 1, PAD)
        enqueues.append(time.perf_counter() - began)
        handle.result(timeout=60)
        results.append(time.perf_counter() - began)
    return Latency(median(trips), median(enqueues), median(results))


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
