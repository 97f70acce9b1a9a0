"""The queue's metrics on Ray's own endpoint for Prometheus, where each name begins with `ray_`.

Ray forgets gauges after each export, so they are set again and again, and its counters begin at
zero with each process: the first export adds all that the journal has counted, so a restart of the
queue shows as a series that begins at the old value. Histograms stay on our own endpoint: Ray's
take one value at a time, which costs too much; quantiles are among the gauges.
"""

from collections.abc import Iterable

from ray.util.metrics import Counter, Gauge

from taskqueue_ray.core.metering import Family

EXPORT = 5.0
"""Seconds between two exports; Ray's own interval is ten."""


class RayMetrics:
    """Keeps Ray's counters and gauges at the values that it is given."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._told: dict[tuple[str, tuple[str, ...]], float] = {}

    def export(self, families: Iterable[Family]) -> None:
        """Set all of them."""
        for family in families:
            match family.kind:
                case "counter":
                    self._count(family)
                case "gauge":
                    self._set(family)

    def _count(self, family: Family) -> None:
        counter = self._counters.get(family.name)
        if counter is None:
            counter = Counter(family.name, family.help, family.labels)
            self._counters[family.name] = counter
        for sample in family.samples:
            key = (family.name, sample.labels)
            told = self._told.get(key)
            if told is None or sample.value > told:
                # `inc` refuses 0, without which the first event would be no increase.
                counter._record(sample.value - (told or 0.0), tags=_tags(family, sample.labels))
                self._told[key] = sample.value

    def _set(self, family: Family) -> None:
        gauge = self._gauges.get(family.name)
        if gauge is None:
            gauge = self._gauges[family.name] = Gauge(family.name, family.help, family.labels)
        for sample in family.samples:
            gauge.set(sample.value, tags=_tags(family, sample.labels))


def _tags(family: Family, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(family.labels, labels, strict=True))
