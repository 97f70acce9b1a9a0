"""Percentiles of streams in little memory: DDSketch, whose error is relative and bounded."""

from bisect import bisect_left
from collections.abc import Iterable

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import Store

from taskqueue_ray.core.metering import Histogram, Quantiles

ACCURACY = 0.01
"""Part of the true value by which a percentile may be off."""

TINY = 1e-6
"""Seconds below which a time is none. With the latest of all times it bounds the bins, to 2,100."""

BOUNDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds at which the buckets of histograms end; one more takes the rest."""


class SparseStore(Store):
    """Only the bins that have something. The library's own keep all in between, and so take
    fifty times as long to merge, of which a look at the last minutes has hundreds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bins: dict[int, float] = {}

    def add(self, key: int, weight: float = 1.0) -> None:
        """Count a value of this bin."""
        self._bins[key] = self._bins.get(key, 0.0) + weight
        self.count += weight

    def merge(self, store: "SparseStore") -> None:
        """Take in what another has."""
        bins = self._bins
        for key, weight in store._bins.items():
            bins[key] = bins.get(key, 0.0) + weight
        self.count += store.count

    def copy(self, store: "SparseStore") -> None:
        """Become what another is."""
        self._bins, self.count = dict(store._bins), store.count

    def length(self) -> int:
        """How many bins there are."""
        return len(self._bins)

    def key_at_rank(self, rank: float, lower: bool = True) -> int:
        """The bin in which the value of this rank is, from 0."""
        passed = 0.0
        key = 0
        for key in sorted(self._bins):
            passed += self._bins[key]
            if passed > rank if lower else passed >= rank + 1:
                break
        return key


Sketch = BaseDDSketch
_MAPPING = LogarithmicMapping(ACCURACY)
_NO_NEGATIVES = SparseStore()


def sketch() -> Sketch:
    """An empty one, for times: none is negative."""
    return BaseDDSketch(_MAPPING, SparseStore(), _NO_NEGATIVES, 0.0)


def merged(parts: Iterable[Sketch]) -> Sketch:
    """All of them as one."""
    whole = sketch()
    for part in parts:
        whole.merge(part)
    return whole


def quantiles(whole: Sketch) -> Quantiles:
    """What a sketch says."""
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
