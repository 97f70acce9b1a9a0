"""What a second client is told when the queue runs with other settings than its own."""

from taskqueue_ray.cluster.bootstrap import other_settings
from taskqueue_ray.cluster.config import QueueConfig, in_force
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.settings import NAMES, Settings

RUNNING = in_force(QueueConfig("/q", "c", "a", bounds=Bounds(max_losses=3), retention=60.0))


def test_only_what_was_asked_for_and_does_not_hold_is_named() -> None:
    assert other_settings(Settings(), RUNNING) == []
    assert other_settings(Settings(max_losses=3, retention=60.0), RUNNING) == []
    assert other_settings(Settings(max_losses=9), RUNNING) == ["max_losses is 3, not 9"]
    asked = Settings(retention=5.0, max_batch=7)
    assert other_settings(asked, RUNNING) == [
        "max_batch is 10000, not 7", "retention is 60.0, not 5.0",
    ]  # fmt: skip


def test_an_older_queue_that_says_nothing_is_no_difference() -> None:
    assert other_settings(Settings(max_losses=9), {}) == []


def test_what_is_in_force_is_named_as_the_settings_are() -> None:
    assert set(RUNNING) - {"remembered"} <= set(NAMES)
