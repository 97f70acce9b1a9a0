"""W1: how many jobs per second."""

import time
from collections.abc import Callable
from pathlib import Path

from taskqueue_ray.cli.bench.effects import total
from taskqueue_ray.cli.bench.jobs import PAD, QUEUE, add
from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.sdk.client import TaskQueue

PATIENCE = 600.0


def enqueue_one_by_one(queue: TaskQueue, count: int) -> float:
    """Jobs per second, each durable before the next."""
    return _rate(count, lambda: [queue.enqueue(add, n, 1, PAD) for n in range(count)])


def enqueue_in_pipeline(queue: TaskQueue, count: int) -> float:
    """Jobs per second in a block that ends when all are durable."""

    def run() -> None:
        with queue.pipeline() as pipeline:
            for number in range(count):
                _ = pipeline.enqueue(add, number, 1, PAD)

    return _rate(count, run)


def enqueue_many(queue: TaskQueue, count: int) -> float:
    """Jobs per second in one call that returns when all are durable."""
    return _rate(count, lambda: queue.enqueue_many(add.item(n, 1, PAD) for n in range(count)))


def end_to_end(queue: TaskQueue, effects: Path, count: int) -> float:
    """Jobs per second from the first enqueue to the last durable outcome, workers running."""
    goal = queue.stats(QUEUE).completed + count
    done = total(effects) + count

    def run() -> None:
        queue.enqueue_many(add.item(number, 1, PAD) for number in range(count))
        wait_for(queue, effects, goal, done)

    return _rate(count, run)


def drain(queue: TaskQueue, effects: Path, start: Callable[[], object]) -> float:
    """Jobs per second out of a backlog, from the first that is seen to end: `start` starts
    workers, whose own start does not count.
    """
    before = queue.stats(QUEUE)
    goal, done = before.completed + before.unfinished, total(effects) + before.unfinished
    start()
    first = queue.stats(QUEUE).completed
    began = time.perf_counter()
    wait_for(queue, effects, goal, done)
    return (goal - first) / (time.perf_counter() - began)


def wait_for(queue: TaskQueue, effects: Path, completed: int, done: int) -> None:
    """Wait until so many outcomes are durable, and see that as many jobs have really run."""
    deadline = time.monotonic() + PATIENCE
    while (counts := queue.stats(QUEUE)).completed < completed:
        if time.monotonic() > deadline or counts.failed:
            raise Unavailable(f"the bench did not get through: {counts!r}")
        time.sleep(0.01)
    if total(effects) < done:
        raise Unavailable(f"only {total(effects):,} of {done:,} jobs have really run")


def _rate(count: int, run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return count / (time.perf_counter() - began)
