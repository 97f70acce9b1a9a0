"""What Ray itself does on this machine now: the measure for everything of ours."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray


class Echo:
    """A bare async actor."""

    async def echo(self, value: bytes) -> bytes:
        """Give it back."""
        return value


def raw_tasks_per_second(count: int) -> float:
    """The rate of tasks that do nothing, all submitted, then all awaited."""
    task = ray.remote(_nothing)
    ray.get([task.remote(number) for number in range(200)])
    began = time.perf_counter()
    ray.get([task.remote(number) for number in range(count)])
    return count / (time.perf_counter() - began)


@contextmanager
def round_trip(size: int = 300) -> Iterator[Callable[[], float]]:
    """A call to a bare async actor: each use makes one and gives the seconds that it took."""
    actor: Any = ray.remote(Echo).options(num_cpus=0).remote()
    echo, value = actor.echo, b"x" * size

    def once() -> float:
        began = time.perf_counter()
        ray.get(echo.remote(value))
        return time.perf_counter() - began

    for _ in range(20):
        once()
    yield once
    ray.kill(actor)


def actor_start() -> float:
    """The seconds from asking for a bare actor to its first answer."""
    began = time.perf_counter()
    actor: Any = ray.remote(Echo).options(num_cpus=0).remote()
    ray.get(actor.echo.remote(b""))
    seconds = time.perf_counter() - began
    ray.kill(actor)
    return seconds


def _nothing(number: int) -> int:
    return number
