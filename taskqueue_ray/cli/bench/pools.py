"""How soon the first job of a burst runs on a pool without workers, beside a bare actor's start."""

import time
from collections.abc import Callable

from taskqueue_ray.cli.bench.jobs import PAD, QUEUE, add
from taskqueue_ray.sdk.client import TaskQueue

BURST = 100
POOL = "bench"


def burst_on_an_empty_pool(
    queue: TaskQueue, actor_start: Callable[[], float]
) -> tuple[float, float]:
    """Seconds from a burst to its first result, and of a bare actor's start right before it."""
    queue.pools.set(POOL, [QUEUE], min=0, max=1, cool_down="1s")
    try:
        _wait(
            lambda: any(one.name == POOL and one.seen_ago is not None for one in queue.pools.list())
        )
        bare = actor_start()
        began = time.perf_counter()
        handles = queue.enqueue_many(add.item(number, 1, PAD) for number in range(BURST))
        handles[0].result(timeout=60)
        return time.perf_counter() - began, bare
    finally:
        queue.pools.delete(POOL)
        _wait(lambda: not queue.worker_health())


def _wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
