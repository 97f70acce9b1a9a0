"""W1: how many jobs per second."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskqueue_ray.cli.bench.effects import total
from taskqueue_ray.cli.bench.jobs import PAD, QUEUE, TEXT, add, gather_up, nap, skip
from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.job import JobItem

PATIENCE = 600.0
TENANTS = 1_000
PARKED = "parked"


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


def plain(number: int) -> JobItem[int]:
    """A job that asks for nothing."""
    return add.item(number, 1, PAD)


_UNIQUE = add.options(unique=True)
_IN_ACTOR = add.options(executor="actor")
_PARKED = add.options(queue=PARKED)
_LIMITED = add.options(limits="bench")
_HELD = add.options(limits="bench_closed")
_FAIR = [add.options(fair_key=f"tenant {number}") for number in range(TENANTS)]


def unique(number: int) -> JobItem[int]:
    """A job with a unique key of its own."""
    return _UNIQUE.item(number, 1, PAD)


def fair(number: int) -> JobItem[int]:
    """A job of one of many tenants."""
    return _FAIR[number % TENANTS].item(number, 1, PAD)


def vectorized(number: int) -> JobItem[None]:
    """A job that runs in one call with others."""
    return skip.item(f"{number:08}{TEXT}")


def in_actors(number: int) -> JobItem[int]:
    """A job that asks for nothing, in a Ray actor."""
    return _IN_ACTOR.item(number, 1, PAD)


def napping(number: int) -> JobItem[int]:
    """An async job that waits a little."""
    return nap.item(number)


def limited(number: int) -> JobItem[int]:
    """A job under a limit."""
    return _LIMITED.item(number, 1, PAD)


def beside_closed(queue: TaskQueue, effects: Path, count: int, waiting: int) -> float:
    """Jobs per second that ask for nothing, in a queue in which others wait for a limit."""
    queue.rate_limiter.throttle("bench_closed", "1d")
    queue.enqueue_many(_HELD.item(number, 1, PAD) for number in range(waiting))
    end_to_end(queue, effects, count // 10)  # after the many have settled
    rate = end_to_end(queue, effects, count)
    if (pending := queue.stats(QUEUE).pending) != waiting:
        raise Unavailable(f"{pending:,} of {waiting:,} jobs were held by their limit")
    return rate


def fan_in(queue: TaskQueue, effects: Path, width: int) -> float:
    """Parents per second until the one job has ended that waits for all of them."""

    def run() -> None:
        parents = queue.enqueue_many(plain(number) for number in range(width))
        last = queue.enqueue(gather_up.options(depends_on=parents))
        last.result(timeout=PATIENCE)

    before = total(effects)
    rate = _rate(width, run)
    if total(effects) < before + width + 1:
        raise Unavailable("the fan-in ended before its parents had run")
    return rate


def end_to_end(
    queue: TaskQueue,
    effects: Path,
    count: int,
    made: Callable[[int], JobItem[Any]] = plain,
) -> float:
    """Jobs per second from the first enqueue to the last durable outcome, workers running."""
    forget_others(queue)
    goal = queue.stats(QUEUE).completed + count
    done = total(effects) + count

    def run() -> None:
        queue.enqueue_many(map(made, range(count)))
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


def drain_behind_a_pause(
    queue: TaskQueue,
    effects: Path,
    count: int,
    made: Callable[[int], JobItem[Any]],
) -> float:
    """`drain` of so many jobs with workers that run already: they all come at once."""
    forget_others(queue)
    queue.pause(QUEUE)
    queue.enqueue_many(map(made, range(count)))
    return drain(queue, effects, lambda: queue.resume(QUEUE))


def drain_beside_parked(queue: TaskQueue, effects: Path, count: int, parked: int) -> float:
    """`drain` of plain jobs while so many others wait in a queue that is paused."""
    queue.pause(PARKED)
    queue.enqueue_many(_PARKED.item(number, 1, PAD) for number in range(parked))
    return drain_behind_a_pause(queue, effects, count, plain)


def forget_others(queue: TaskQueue) -> None:
    """Drop what ended before, so that no figure pays for the compaction of another's jobs."""
    queue.purge(state="completed")


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
