"""What the queue observes of itself for alert rules, jobs under limits included."""

from taskqueue_ray.core.commands import SetLimit, Throttle
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import JobSpec, Use
from tests.records import options, spec
from tests.schedules import put
from tests.unit.engine.engine_trial import Hand, Trial


def _under(name: str, *numbers: int, key: str = "") -> list[JobSpec]:
    return [spec(number, limits=(Use(name, 1, key),)) for number in numbers]


def _gauge(trial: Trial, name: str) -> dict[str, float]:
    found = trial.engine.observing.observe(trial.clock.at).gauges[name]
    return {queue: round(value) for queue, value in found.items()}


def test_a_job_that_a_limit_holds_starves_and_is_the_oldest_that_waits() -> None:
    trial = Trial()
    trial.engine.path.execute(SetLimit("api", LimitRule("concurrency", 1)))
    trial.enqueued(*_under("api", 1, 2))
    hand = Hand(trial)
    assert len(hand.exchange(want=5).grants) == 1
    trial.clock.at += 700
    assert _gauge(trial, "limit_starving") == {"q": 700}
    assert _gauge(trial, "oldest_waiting") == {"q": 700}
    [stats] = trial.engine.insights.stats("q")
    assert stats.oldest_waiting is not None


def test_a_throttle_starves_before_anybody_asks_for_a_job() -> None:
    trial = Trial()
    trial.engine.path.execute(Throttle("api", 1e5))
    trial.enqueued(*_under("api", 1), spec(2))
    trial.clock.at += 50
    assert _gauge(trial, "limit_starving") == {"q": 50}


def test_who_waits_for_a_worker_alone_does_not_starve() -> None:
    trial = Trial()
    trial.enqueued(*_under("api", 1))
    trial.clock.at += 50
    assert _gauge(trial, "limit_starving") == {}


def test_jobs_under_limits_that_no_worker_serves_are_seen() -> None:
    trial = Trial()
    trial.engine.path.execute(SetLimit("api", LimitRule("concurrency", 1)))
    trial.enqueued(*_under("api", 1, 2), *_under("api", 3, key="a"), shared=options(queue="far"))
    assert _gauge(trial, "unserved") == {"far": 3}
    Hand(trial)
    assert _gauge(trial, "unserved") == {"far": 0}


def test_a_schedule_that_nobody_deals_with_is_late() -> None:
    trial = Trial()
    assert _gauge(trial, "schedule_late") == {"": 0}
    trial.engine.path.execute(put())
    head = trial.state.firing.head()
    assert head is not None
    trial.clock.at = head[0] + 90
    assert _gauge(trial, "schedule_late") == {"": 90}
