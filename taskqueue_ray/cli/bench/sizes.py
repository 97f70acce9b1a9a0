"""How much the bench does."""

from dataclasses import dataclass

EXECUTORS = 2


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of jobs and calls in one repeat."""

    raw_tasks: int
    jobs: int
    one_by_one: int
    latency: int
    backlog: int
    fan_in: int
    naps: int
    closed: int


FULL = Sizes(
    raw_tasks=5_000,
    jobs=50_000,
    one_by_one=500,
    latency=1000,
    backlog=100_000,
    fan_in=100_000,
    naps=20_000,
    closed=1_000_000,
)
QUICK = Sizes(
    raw_tasks=1_000,
    jobs=5_000,
    one_by_one=100,
    latency=100,
    backlog=10_000,
    fan_in=5_000,
    naps=2_000,
    closed=20_000,
)
