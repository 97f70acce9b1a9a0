"""Percentiles of streams in little memory: DDSketch, whose error is relative and bounded."""

from bisect import bisect_left
from collections.abc import Iterable

from ddsketch import DDSketch

from taskqueue_ray.core.metering import Histogram, Quantiles

ACCURACY = 0.01
"""Part of the true value by which a percentile may be off."""

BOUNDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds at which the buckets of histograms end; one more takes the rest."""


def sketch() -> DDSketch:
    """An empty one."""
    return DDSketch(ACCURACY)


def quantiles(parts: Iterable[DDSketch]) -> Quantiles:
    """What all parts together say."""
    whole = sketch()
    for part in parts:
        whole.merge(part)
    if not whole.count:
        return Quantiles()
    at = whole.get_quantile_value
    most = max(0.0, whole._max)
    # A percentile is a middle of a bin, which may lie a little above the largest value.
    p50, p95, p99 = (min(at(q) or 0.0, most) for q in (0.5, 0.95, 0.99))
    return Quantiles(round(whole.count), p50, p95, p99, whole.sum / whole.count, most)


class Buckets:
    """A histogram that only grows."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0.0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, value: float, weight: float) -> None:
        """Count a value `weight` times."""
        self._counts[bisect_left(BOUNDS, value)] += weight
        self.total += value * weight

    def histogram(self) -> Histogram:
        """The cumulative form."""
        counts, below = [], 0.0
        for count in self._counts:
            below += count
            counts.append(round(below, 6))
        return Histogram(list(BOUNDS), counts, self.total)
