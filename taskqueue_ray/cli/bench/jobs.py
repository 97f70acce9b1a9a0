"""What the bench enqueues."""

import asyncio

from taskqueue_ray.cli.bench.effects import note
from taskqueue_ray.core.batching import Batch
from taskqueue_ray.sdk.job import job

QUEUE = "bench"
PAD = "x" * 80
"""With two numbers and the names it makes about 100 bytes of arguments."""

NAP = 0.02
"""Seconds for which an async job waits."""

VECTOR = 64
"""The most jobs in one call of a vectorized one."""

TEXT = "x" * 88
"""What one of them is about: about 100 bytes of arguments as well."""

LONG_PAD = "x" * 140
"""The same for about 160 bytes, of jobs that only wait."""


@job(queue=QUEUE)
def add(a: int, b: int, pad: str) -> int:  # noqa: ARG001  # it only has to weigh something
    """Next to nothing, and it counts itself."""
    note()
    return a + b


@job(queue=QUEUE, batch=Batch(max_size=VECTOR, max_wait="2ms"))
def skip(texts: list[str]) -> list[None]:
    """Nothing, for many at a time, and it counts them."""
    note(len(texts))
    return [None] * len(texts)


@job(queue=QUEUE)
async def nap(n: int) -> int:
    """Waits a little, as for a reply, and counts itself."""
    await asyncio.sleep(NAP)
    note()
    return n


@job(queue=QUEUE)
def gather_up() -> None:
    """What waits for many others."""
    note()
