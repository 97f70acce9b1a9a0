"""What a second client is told when the queue runs with other settings than its own."""

from taskqueue_ray.cluster.bootstrap import other_settings
from taskqueue_ray.cluster.config import QueueConfig, in_force
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.retention import parse_retention
from taskqueue_ray.core.settings import NAMES, resolve

BOUNDS = Bounds(max_losses=3, retention=parse_retention("1m"))
RUNNING = in_force(QueueConfig("/q", "c", "a", bounds=BOUNDS))


def _plain(term: str) -> str:
    return f"completed={term}, cancelled={term}, expired={term}"


def _others(**given: object) -> list[str]:
    return other_settings(resolve([given]), RUNNING)


def test_only_what_was_asked_for_and_does_not_hold_is_named() -> None:
    assert _others() == []
    assert _others(max_losses=3, retention=60.0, concurrency=4) == []
    assert _others(max_losses=9) == ["max_losses is 3 in the running queue, not 9"]
    assert _others(retention="5s", max_batch="7") == [
        "max_batch is 10000 in the running queue, not 7",
        f"retention is {_plain('1m')} in the running queue, not {_plain('5s')}",
    ]


def test_a_default_that_was_asked_for_is_named() -> None:
    """Who writes 5 wants 5, whether or not that is what others get who write nothing."""
    assert _others(max_losses=5) == ["max_losses is 3 in the running queue, not 5"]


def test_an_older_queue_that_says_nothing_is_no_difference() -> None:
    assert other_settings(resolve([{"max_losses": 9}]), {}) == []


def test_what_is_in_force_is_named_as_the_settings_are() -> None:
    assert set(RUNNING) - {"remembered"} <= set(NAMES)
