"""The dashboard and the alert rules ask for metrics and labels that there are."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

import taskqueue_ray as tq
from tests import monitoring
from tests.inprocess import Bench
from tests.monitoring import Query

QUERIES = [*monitoring.panel_queries(), *monitoring.alert_queries()]


@tq.job(queue="mail", max_attempts=2, backoff=tq.Backoff.fixed("1s"))
def break_down(what: str) -> None:
    raise ValueError(what)


@pytest.fixture
def labels(bench: Bench) -> dict[str, set[str]]:
    """The labels of each metric after some work."""
    _ = break_down.enqueue("x")
    bench.work()
    bench.advance(2.0)
    bench.work()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(bench.q.prometheus()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.owner)
def test_a_query_names_metrics_and_labels_that_exist(
    query: Query, labels: dict[str, set[str]]
) -> None:
    assert query.names, "it asks for nothing of ours"
    assert query.names <= labels.keys(), query.names - labels.keys()
    known = set().union(*(labels[name] for name in query.names))
    assert query.labels <= known, query.labels - known
    for opening, closing in ("()", "{}", "[]"):
        assert query.text.count(opening) == query.text.count(closing)


def test_the_dashboard_can_be_imported() -> None:
    board = monitoring.dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in panels)
    declared = {one["name"] for one in board["templating"]["list"]}
    assert declared == {"datasource", "prefix", "queue"}
    assert [one for one in monitoring.panel_queries() if "${prefix}" in one.text]
