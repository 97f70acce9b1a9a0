"""How long a failed attempt waits."""

import math

import pytest

from taskqueue_ray.core.retry import Backoff, Kind

KINDS: tuple[Kind, ...] = ("exponential", "linear", "fixed")


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        (Backoff(jitter=False), [1, 2, 4, 8]),
        (Backoff(kind="exponential", base=0.5, factor=10, jitter=False), [0.5, 5, 50, 500]),
        (Backoff(kind="linear", base=3, jitter=False), [3, 6, 9, 12]),
        (Backoff(kind="fixed", base=7, jitter=False), [7, 7, 7, 7]),
        (Backoff(max=3, jitter=False), [1, 2, 3, 3]),
        (Backoff(factor=1.0, base=2, jitter=False), [2, 2, 2, 2]),
        (Backoff(base=0.0, jitter=False), [0, 0, 0, 0]),
    ],
)
def test_waits(backoff: Backoff, waits: list[float]) -> None:
    assert [backoff.delay(attempt, 0.9) for attempt in (1, 2, 3, 4)] == waits


@pytest.mark.parametrize("kind", KINDS)
def test_jitter_draws_from_the_upper_half(kind: Kind) -> None:
    plain = Backoff(kind=kind, base=10, jitter=False)
    jittered = Backoff(kind=kind, base=10)
    for attempt in (1, 2, 5):
        whole = plain.delay(attempt, 0.0)
        assert jittered.delay(attempt, 0.0) == whole / 2
        assert jittered.delay(attempt, 0.5) == whole * 0.75
        assert whole * 0.999 < jittered.delay(attempt, 0.9999) < whole


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.0001, 2.0, 1e6, 9e11])
@pytest.mark.parametrize("attempt", [1, 2, 1_000, 10**9])
def test_no_number_of_attempts_overflows(kind: Kind, factor: float, attempt: int) -> None:
    wait = Backoff(kind=kind, base=9e11, factor=factor).delay(attempt, 0.999)
    assert math.isfinite(wait)
    assert 0 <= wait <= 3600


def test_a_long_maximum_is_reached() -> None:
    backoff = Backoff(base=1, max=1e9, jitter=False)
    assert backoff.delay(60, 0.0) == 1e9
