"""Which of the times that have passed is fired, and which count as missed."""

from dataclasses import dataclass

import pytest

from taskqueue_ray.core.duetimes import ON_TIME, WALK, next_due, turn
from taskqueue_ray.core.rules import Cron, Every, Once
from taskqueue_ray.core.schedule import DAY, Plan
from tests.records import START
from tests.schedules import plan

HOURLY = Every(3600.0, START)
SECONDLY = Every(1.0, START)


@dataclass
class Case:
    """After `late` seconds, counted from the first due time. Times are in intervals from START."""

    mode: str
    late: float
    fire: int
    missed: int
    cursor: int
    window: float = DAY


CASES = {
    "on time": Case("skip", 0, 1, 0, 1),
    "a little late is not missed": Case("skip", ON_TIME, 1, 0, 1),
    "skip: one time was missed": Case("skip", ON_TIME + 1, 0, 1, 1),
    "skip: the last of three is on time": Case("skip", 2 * 3600 + 5, 3, 2, 3),
    "skip: all were missed": Case("skip", 2 * 3600 + 100, 0, 3, 3),
    "latest: of three one runs": Case("latest", 2 * 3600 + 100, 3, 2, 3),
    "latest: it is too long ago": Case("latest", 100, 0, 1, 1, window=99),
    "latest: however long ago": Case("latest", 100 * DAY, 2401, 64, 2401, window=0),
    "a window shorter than a tick of patience": Case("latest", 30, 1, 0, 1, window=1),
    "all: each has its turn": Case("all", 2 * 3600 + 100, 1, 0, 1),
    "all: one was missed, and the next is still to come": Case("all", 3000, 0, 1, 1, window=60),
    "all: the first is too long ago": Case("all", 2 * 3600, 2, 1, 2, window=3600),
    "all: two are too long ago": Case("all", 2 * 3600 + 100, 3, 2, 3, window=3599),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_table(case: Case) -> None:
    made = plan(HOURLY, catch_up=case.mode, window=case.window)
    due = START + 3600
    found = turn(HOURLY, made, due, due + case.late)
    assert found.cursor == START + case.cursor * 3600
    assert found.due == (START + case.fire * 3600 if case.fire else 0.0)
    assert found.following == found.cursor + 3600
    assert (found.missed >= case.missed) if case.missed >= WALK else (found.missed == case.missed)


@pytest.mark.parametrize("mode", ["skip", "latest", "all"])
def test_a_year_of_seconds_is_dealt_with_at_once(mode: str) -> None:
    """Looking at each would take minutes."""
    year, made = 365 * DAY, plan(SECONDLY, catch_up=mode, window=10 * DAY)
    found = turn(SECONDLY, made, START + 1, START + year)
    if mode == "all":
        assert found.due == 0
        assert START + year - 10 * DAY - 1 <= found.cursor <= START + year - 10 * DAY
        assert found.following == pytest.approx(START + year - 10 * DAY, abs=1.0)
    else:
        assert found.due == found.cursor == START + year
        assert found.following == START + year + 1
    assert found.missed >= WALK


@pytest.mark.parametrize("expression", ["*/7 * * * *", "0 0 * * *", "* * * * * */13"])
def test_the_last_time_is_found_among_many(expression: str) -> None:
    rule = Cron(expression)
    made = plan(rule, catch_up="latest", window=0.0)
    now = START + 400 * DAY + 1234.5
    found = turn(rule, made, next_due(rule, made, START), now)
    assert found.due <= now < found.following
    assert next_due(rule, made, found.due) == found.following


def test_a_single_time() -> None:
    once = Once(START + 5)
    found = turn(once, plan(once, window=0.0), START + 5, START + 3 * DAY)
    assert found == (START + 5, START + 5, 0, 0.0)


def test_nothing_is_due_after_the_end() -> None:
    made = plan(HOURLY, until=START + 2 * 3600)
    assert next_due(HOURLY, made, START + 3600) == START + 7200, "the end is included"
    assert next_due(HOURLY, made, START + 7200) == 0.0
    found = turn(HOURLY, made, START + 3600, START + 10 * 3600)
    assert (found.due, found.following) == (START + 7200, 0.0)


def test_a_plan_has_a_window_of_a_day() -> None:
    assert Plan(HOURLY, "", "").window == DAY
