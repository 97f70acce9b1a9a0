"""For how long ended jobs are kept: what may be said, and what it comes to."""

from datetime import timedelta
from pathlib import Path

import pytest

from taskqueue_ray.core.errors import InvalidOption, InvalidSetting
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.retention import (
    KEEP,
    Horizon,
    Retention,
    horizons,
    parse_retention,
    term_of,
)
from taskqueue_ray.core.settings import resolve
from taskqueue_ray.engine.configuration import configure

DAY = 86_400.0


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("7d", Retention(7 * DAY, cancelled=7 * DAY, expired=7 * DAY)),
        (90, Retention(90.0, cancelled=90.0, expired=90.0)),
        (timedelta(hours=1), Retention(3600.0, cancelled=3600.0, expired=3600.0)),
        ({"failed": "30d"}, Retention(failed=30 * DAY)),
        ("completed=7d,failed=30d", Retention(7 * DAY, 30 * DAY)),
        (" completed=7d, failed=forever ", Retention(7 * DAY, None)),
        ({"completed": None, "expired": "forever"}, Retention(None, expired=None)),
        ("forever", Retention(None, cancelled=None, expired=None)),
        (Retention(failed=5.0), Retention(failed=5.0)),
    ],
)
def test_what_is_said_and_what_it_means(given: object, meant: Retention) -> None:
    assert parse_retention(given) == meant
    assert parse_retention(str(meant)) == meant


@pytest.mark.parametrize(
    "wrong",
    [0, "0s", -1, True, "soon", "", "completed", "completed=", "done=7d", {}, {"pending": "1d"},
     {"failed": "x"}, {"failed": 0}, "failed=1d,failed=2d", [1], Retention(failed=-1.0),
     Retention(completed=float("nan")), {1: "7d"}],
)  # fmt: skip
def test_what_is_no_retention_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidOption, match="retention"):
        parse_retention(wrong)


def test_a_queue_goes_before_all_state_by_state() -> None:
    default, own = Retention(completed=60.0, failed=90.0), Retention(completed=None, expired=5.0)
    terms = {state: term_of(default, own, state) for state in Retention.__struct_fields__}
    assert terms == {"completed": None, "failed": 90.0, "cancelled": None, "expired": 5.0}
    assert term_of(default, None, "completed") == 60.0


def test_what_is_kept_no_longer() -> None:
    queues = {"mail": Retention(completed=10.0), "kept": Retention(completed=None), "plain": None}
    found = horizons(Retention(completed=60.0, failed=90.0), queues, 1000.0)
    assert found == [
        Horizon(JobState.COMPLETED, 940.0, None, ("mail", "kept")),
        Horizon(JobState.COMPLETED, 990.0, "mail"),
        Horizon(JobState.FAILED, 910.0),
    ]
    assert horizons(KEEP, {"plain": None, "kept": Retention(failed=None)}, 1000.0) == []


def test_it_is_set_in_a_file_or_a_variable(tmp_path: Path) -> None:
    table = '[retention]\ncompleted = "7d"\ncancelled = "1d"\nfailed = "30d"\n'
    (tmp_path / "taskqueue.toml").write_text(table)
    from_file = configure(folder=tmp_path, environ={}).retention
    assert from_file == Retention(7 * DAY, 30 * DAY, DAY)
    environ = {"TASKQUEUE_RETENTION": "completed=1h, failed=2d"}
    assert configure(folder=tmp_path, environ=environ).retention == Retention(3600.0, 2 * DAY)
    (tmp_path / "taskqueue.toml").write_text('retention = "7d"\n')
    assert configure(folder=tmp_path, environ={}).retention == parse_retention("7d")


def test_a_setting_that_is_none_is_named() -> None:
    with pytest.raises(InvalidSetting, match="retention") as refusal:
        resolve([{"retention": {"done": "7d"}}])
    assert "by state" in str(refusal.value)
