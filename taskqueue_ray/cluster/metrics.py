"""The queue's metrics on Ray's own endpoint for Prometheus, where each name begins with `ray_`.

Ray forgets gauges after each export, so they are set again and again, and its counters begin at
zero with each process: the first export adds all that the journal has counted, so a restart of the
queue shows as a counter that begins anew at its old value. Histograms stay on our own endpoint:
Ray's take one value at a time, which costs too much; quantiles are among the gauges.
"""

from collections.abc import Iterable

from ray.util.metrics import Counter, Gauge

from taskqueue_ray.core.metering import Family

EXPORT = 5.0
"""Seconds between two exports; Ray's own interval is ten."""


class RayMetrics:
    """Keeps Ray's counters and gauges at the values that it is given."""

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Gauge] = {}
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
        metric = self._metrics.get(family.name)
        if metric is None:
            metric = self._metrics[family.name] = Counter(family.name, family.help, family.labels)
        for sample in family.samples:
            key = (family.name, sample.labels)
            more = sample.value - self._told.get(key, 0.0)
            if more > 0:
                metric.inc(more, tags=_tags(family, sample.labels))
                self._told[key] = sample.value

    def _set(self, family: Family) -> None:
        metric = self._metrics.get(family.name)
        if metric is None:
            metric = self._metrics[family.name] = Gauge(family.name, family.help, family.labels)
        for sample in family.samples:
            metric.set(sample.value, tags=_tags(family, sample.labels))


def _tags(family: Family, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(family.labels, labels, strict=True))
