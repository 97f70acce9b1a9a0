"""The live views: what they show, that they fit, and how their keys work."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taskqueue_ray.cli import top as top_command
from taskqueue_ray.cli.top_screen import Look, counts_of, overview, sparkline
from taskqueue_ray.core.exchange import QueueStats, WorkerInfo, WorkerView
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.metering import (
    FailureView,
    PerformanceReport,
    PerformanceView,
    Quantiles,
    Vitals,
)
from taskqueue_ray.sdk.performance import Performance
from taskqueue_ray.sdk.records import QueueRecord, WorkerRecord
from tests.records import START
from tests.unit.cli.conftest import Run

NAMES = [*(f"queue-{number}" for number in range(30)), "a" * 63]
SIZES = [(80, 24), (160, 50), (60, 14), (40, 8), (200, 20)]


def _look(trouble: str = "") -> Look:
    """A busy day of a large fleet, with names meant to do harm."""
    ran = Quantiles(9, 0.01, 0.5, 2.0, 0.1, 9.0)
    rows = [PerformanceView("", "", 900, 30, 20, busy=11.0, waiting=ran, running=ran)]
    for place, name in enumerate(NAMES):
        rows.append(PerformanceView(name, "", 30, 1, 1, busy=0.5, waiting=ran, running=ran))
        slow = Quantiles(9, 0.01, float(place), 2.0, 0.1, 9.0)
        rows.append(PerformanceView(name, f"shop.jobs.t{place}", 30, 1, 1, busy=1, running=slow))
    failures = [
        FailureView(START, bytes(16), "mail", "\x1b[31mshop[bold]", "error", "ValueError", "failed")
    ] * 20
    report = PerformanceReport(60.0, 22.0, rows, [float(n) for n in range(30)], failures)
    queues = [
        QueueRecord(QueueStats(name, 70, {**dict.fromkeys(JobState, 10)}, START)) for name in NAMES
    ]
    vitals = Vitals(100 << 20, 9 << 20, 187.0, 2, 12_345, 1, START)
    workers = [
        WorkerRecord.of(
            WorkerView(
                WorkerInfo(f"worker:{n:08x}:1", (), 2, "3.11", ()), 2, [], n, False, vitals=vitals
            )
        )
        for n in range(25)
    ]
    return Look(START, "/data/" + "long/" * 20, 60.0, queues, Performance(report), workers, trouble)


def _lines(drawn: Any, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    console.print(drawn)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("trouble", ["", "the queue does not answer " * 9])
def test_it_fits_into_any_terminal(width: int, height: int, trouble: str) -> None:
    for lines in (
        _lines(overview(_look(trouble), width, height), width, height),
        _lines(counts_of(_look(trouble), None, width, height), width, height),
    ):
        assert len(lines) <= height
        assert all(len(line) <= width for line in lines)
        assert lines[0].startswith("taskqueue")
        assert lines[-1].startswith("q quit")
        assert "\x1b" not in "".join(lines)


def test_a_usual_terminal_has_a_part_of_everything() -> None:
    text = "\n".join(_lines(overview(_look(), 80, 24), 80, 24))
    for heading in ("QUEUE", "SLOWEST TYPES", "WORKER", "FAILED LATELY"):
        assert heading in text
    assert "15.0/s done" in text
    assert "50% busy" in text
    assert "▁▁" in text
    assert "█" in text


def test_the_slowest_types_and_the_silent_workers_come_first() -> None:
    lines = _lines(overview(_look(), 160, 24), 160, 24)
    types = next(i for i, line in enumerate(lines) if line.startswith("SLOWEST"))
    assert lines[types + 1].startswith(f"shop.jobs.t{len(NAMES) - 1}")
    workers = next(i for i, line in enumerate(lines) if line.startswith("WORKER"))
    assert "silent" in lines[workers + 1]


def test_a_narrow_terminal_has_fewer_columns() -> None:
    wide, narrow = (_lines(overview(_look(), width, 24), width, 24) for width in (160, 44))
    assert any("run p95" in line and "oldest" in line for line in wide)
    assert not any("run p95" in line and line.startswith("QUEUE") for line in narrow)
    assert any(line.startswith("QUEUE") and "pending" in line for line in narrow)


def test_a_sparkline() -> None:
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([1.0, 2.0, 4.0, 8.0]) == "▁▂▄█"


def test_where_there_is_no_terminal_it_is_shown_once(run: Run, folder: Path) -> None:
    for words in (("top",), ("stats", "--watch"), ("stats", "mail", "--watch")):
        ended = run(*words)
        assert (ended.code, ended.err) == (0, "")
        assert "mail" in ended.out


def test_as_json(run: Run, folder: Path) -> None:
    found = json.loads(run("top", "--json", "--window", "5m").out)
    assert found["queues"][0]["queue"] == "mail"
    assert found["performance"][0]["queue"] == "all"
    assert (found["workers"], found["failures"]) == ([], [])


def test_a_window_that_is_not_kept_is_refused(run: Run, folder: Path) -> None:
    for window in ("1s", "2h", "soon"):
        ended = run("top", "--window", window)
        assert ended.code != 0
        assert "window" in ended.err


def test_metrics_as_text(run: Run, folder: Path) -> None:
    ended = run("metrics")
    assert (ended.code, ended.err) == (0, "")
    assert 'taskqueue_jobs{queue="mail",state="pending"} 3.0' in ended.out.splitlines()


class _Typed:
    """A keyboard on which these keys are pressed, one in each wait."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys

    def wait(self, seconds: float) -> str:
        return self._keys.pop(0)


def test_keys_change_the_window_and_end_it(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def keyboard() -> Iterator[_Typed]:
        yield _Typed(["", "w", "w", "x", "q"])

    asked: list[float] = []
    look_at = top_command.look_at

    def looking(found: Any, window: float) -> Look:
        asked.append(window)
        return look_at(found, window)

    screen = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    monkeypatch.setattr(top_command, "open_keys", keyboard)
    monkeypatch.setattr(top_command, "console", lambda: screen)
    monkeypatch.setattr(top_command, "look_at", looking)
    assert run("top").code == 0
    assert asked == [60.0, 60.0, 300.0, 900.0, 900.0]
    assert isinstance(screen.file, io.StringIO)
    assert "nobody serves the queue now" in screen.file.getvalue()


def test_a_queue_that_is_not_there_yet_is_waited_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def keyboard() -> Iterator[_Typed]:
        yield _Typed(["", "", "q"])

    screen = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    monkeypatch.setattr(top_command, "open_keys", keyboard)
    monkeypatch.setattr(top_command, "console", lambda: screen)
    assert run("top").code == 0
    assert isinstance(screen.file, io.StringIO)
    assert "there is no queue in it yet" in screen.file.getvalue()
