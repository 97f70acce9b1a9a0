"""W3 and W5: what executors and waiting jobs weigh, and how long a backlog takes to recover."""

import os
import signal
import time
from statistics import median
from typing import TYPE_CHECKING

import psutil

from taskqueue_ray.cli.bench.jobs import LONG_PAD, QUEUE, add
from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.sdk.client import TaskQueue

if TYPE_CHECKING:
    from taskqueue_ray.cluster.bootstrap import Connection

_FORK_SERVER = "taskqueue_ray.executor.forkserver"


def executor_bytes(queue: TaskQueue) -> float:
    """Private memory of one executor slot, the median of those that are there."""
    private = [
        executor.memory_full_info().uss
        for worker in queue.worker_health()
        for server in psutil.Process(worker.pid).children()
        if _FORK_SERVER in " ".join(server.cmdline())
        for executor in server.children()
    ]
    if not private:
        raise Unavailable("no executor was found to weigh")
    return float(median(private))


def weigh_backlog(queue: TaskQueue, connection: "Connection", count: int) -> tuple[float, float]:
    """Bytes in the queue actor per waiting job, and the seconds that they take to recover.

    The queue must be fresh: memory that was used before would be used again.
    """
    from taskqueue_ray.cluster.probe import ping

    _ = queue.enqueue(add.options(queue="warm"), 0, 1, LONG_PAD)
    actor = psutil.Process(ping(connection.handle).pid)
    before = actor.memory_info().rss
    queue.enqueue_many(add.item(number, 1, LONG_PAD) for number in range(count))
    per_job = (actor.memory_info().rss - before) / count
    os.kill(actor.pid, signal.SIGKILL)
    began = time.perf_counter()
    waiting = queue.stats(QUEUE).pending
    recovery = time.perf_counter() - began
    if waiting != count:
        raise Unavailable(f"{waiting:,} of {count:,} jobs were recovered")
    return per_job, recovery
