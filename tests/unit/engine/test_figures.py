"""The figures that rules compare: of one queue, of all, over time."""

from typing import Any

import pytest

from taskqueue_ray.core.alerts import EACH, Threshold
from taskqueue_ray.core.exchange import QueueStats
from taskqueue_ray.core.gauges import GAUGES, WINDOW
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.observation import Observation
from taskqueue_ray.engine.figures import Growth, Tracker, judge


def _stats(queue: str, retries: int = 0, **counts: int) -> QueueStats:
    found = {state: counts.get(state.value, 0) for state in JobState}
    return QueueStats(queue, sum(found.values()), found, None, retries)


def _seen(at: float, *queues: QueueStats, **given: Any) -> Observation:
    return Observation(at, list(queues), [], **given)


def test_counts_are_of_each_queue_and_of_all() -> None:
    figures = Tracker().take(_seen(0, _stats("a", pending=3), _stats("b", pending=4)), {})
    assert figures["pending"] == {"a": 3, "b": 4, "": 7}
    assert figures["workers"] == {"": 0}


def test_of_ages_the_worst_is_that_of_all() -> None:
    ages = {"oldest_waiting": {"a": 5.0, "b": 50.0}}
    figures = Tracker().take(_seen(0, _stats("a"), _stats("b"), gauges=ages), {})
    assert figures["oldest_waiting"][""] == 50.0


def test_a_queue_system_without_jobs_has_none_of_each() -> None:
    figures = Tracker().take(_seen(0), {"storage_used": 0.5})
    assert figures["pending"] == {"": 0}
    assert figures["storage_used"] == {"": 0.5}
    assert "" not in figures["oldest_waiting"], "no job waits, so none has waited for 0 s"


def test_a_failure_rate_is_of_what_ended_in_the_window() -> None:
    tracker = Tracker()
    tracker.take(_seen(0, _stats("a", completed=1000, failed=10)), {})
    few = tracker.take(_seen(10, _stats("a", completed=1005, failed=15)), {})
    assert "a" not in few["failure_rate"], "ten are no trend"
    many = tracker.take(_seen(20, _stats("a", retries=10, completed=1010, failed=20)), {})
    assert many["failure_rate"]["a"] == pytest.approx(20 / 30)
    assert many["failure_rate"][""] == pytest.approx(20 / 30)
    later = tracker.take(_seen(20 + 2 * WINDOW, _stats("a", retries=10, completed=1050)), {})
    assert later["failure_rate"].get("a", 0.0) == 0.0


def test_growth_forgets_what_is_older_than_its_window() -> None:
    growth = Growth(100.0)
    grown = [growth.take(float(at), at // 10) for at in range(0, 1000, 10)]
    assert grown[0] == 0
    assert all(9 <= one <= 12 for one in grown[20:])
    assert len(growth._samples) < 40


def test_a_counter_that_shrinks_or_starts_anew_is_not_negative() -> None:
    growth = Growth(100.0)
    assert [growth.take(at, value) for at, value in ((0, 50), (1, 60), (2, 0), (3, 5))] == [
        0, 10, 10, 15,
    ]  # fmt: skip


def test_quarantines_and_vanished_workers_are_counted_over_time() -> None:
    tracker = Tracker()
    for at, poisoned, gone in ((0, 0, 0), (10, 2, 6), (20, 2, 6)):
        counters = {"poisoned": {"a": float(poisoned)}, "worker_churn": {"": float(gone)}}
        figures = tracker.take(_seen(at, _stats("a"), counters=counters), {})
    assert (figures["poisoned"]["a"], figures["worker_churn"][""]) == (2, 6)
    counters = {"poisoned": {"a": 2.0}, "worker_churn": {"": 6.0}}
    figures = tracker.take(_seen(1000, _stats("a"), counters=counters), {})
    assert (figures["poisoned"]["a"], figures["worker_churn"][""]) == (2, 0)


FIGURES = {"pending": {"a": 3.0, "b": 40.0, "": 43.0}, "failure_rate": {}}


@pytest.mark.parametrize(
    ("when", "holds", "words"),
    [
        (Threshold("pending", ">", 42.0), True, "pending is 43, limit > 42"),
        (Threshold("pending", ">", 42.0, "b"), False, "pending of b is 40, limit > 42"),
        (Threshold("pending", ">", 39.0, EACH), True, "pending of b is 40, limit > 39"),
        (Threshold("pending", "<", 5.0, EACH), True, "pending of a is 3, limit < 5"),
        (Threshold("pending", "<", 5.0, "nobody"), False, ""),
        (Threshold("failure_rate", "<", 1.0), False, ""),
        (Threshold("failure_rate", ">", 0.0, EACH), False, ""),
    ],
)
def test_judging_a_threshold(when: Threshold, holds: bool, words: str) -> None:
    active, _, detail = judge(when, FIGURES)
    assert (active, detail) == (holds, words)


def test_every_figure_has_a_meaning_and_no_other_is_made() -> None:
    figures = Tracker().take(_seen(0, _stats("a", pending=1)), {"storage_free": 1.0, "nodes": 1.0})
    assert set(figures) == set(GAUGES)


def test_what_is_purged_does_not_lower_the_failure_rate() -> None:
    tracker = Tracker()
    tracker.take(_seen(0, _stats("a", failed=100)), {})
    purged = QueueStats("a", 30, {JobState.FAILED: 30}, left={JobState.FAILED: 100})
    assert tracker.take(_seen(10, purged), {})["failure_rate"]["a"] == 1.0, "30 more have failed"
