"""What the bench enqueues."""

from taskqueue_ray.cli.bench.effects import note
from taskqueue_ray.sdk.job import job

QUEUE = "bench"
PAD = "x" * 80
"""With two numbers and the names it makes about 100 bytes of arguments."""

LONG_PAD = "x" * 140
"""The same for about 160 bytes, of jobs that only wait."""


@job(queue=QUEUE)
def add(a: int, b: int, pad: str) -> int:  # noqa: ARG001  # it only has to weigh something
    """Next to nothing, and it counts itself."""
    note()
    return a + b
