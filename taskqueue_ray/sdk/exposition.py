"""Metrics as Prometheus reads them: the text that `/metrics` and `taskqueue metrics` give."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from taskqueue_ray.core.metering import Family, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What a server says that the text is."""


def render(families: Iterable[Family]) -> str:
    """The metrics as text.

    >>> from taskqueue_ray.core.metering import Sample
    >>> one = Family("taskqueue_jobs", "gauge", "Jobs.", ("queue",), [Sample(("mail",), 2)])
    >>> print(render([one]).splitlines()[-1])
    taskqueue_jobs{queue="mail"} 2.0
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given([_metric(one) for one in families]))
    return generate_latest(registry).decode()


class _Given(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)

    def describe(self) -> Iterator[Metric]:
        return iter(())


def _metric(family: Family) -> Metric:
    match family.kind:
        case "counter":
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for sample in family.samples:
                counter.add_metric(sample.labels, sample.value)
            return counter
        case "gauge":
            gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for sample in family.samples:
                gauge.add_metric(sample.labels, sample.value)
            return gauge
        case "histogram":
            histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
            for sample in family.samples:
                if sample.histogram is not None:
                    buckets = _buckets(sample.histogram)
                    histogram.add_metric(sample.labels, buckets, sample.histogram.total)
            return histogram


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    names = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    return list(zip(names, histogram.counts, strict=True))
