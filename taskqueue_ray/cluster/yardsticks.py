"""What Ray itself does on this machine now: the measure for everything of ours."""

import time
from statistics import median
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


def round_trip_seconds(count: int, size: int = 300) -> float:
    """The median time of a call to a bare async actor, one after another."""
    actor: Any = ray.remote(Echo).options(num_cpus=0).remote()
    value = b"x" * size
    for _ in range(20):
        ray.get(actor.echo.remote(value))
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ray.get(actor.echo.remote(value))
        times.append(time.perf_counter() - began)
    ray.kill(actor)
    return median(times)


def _nothing(number: int) -> int:
    return number
