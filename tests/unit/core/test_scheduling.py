"""Schedules come, change and go; what makes no sense is refused before anything is stored."""

import math
from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.commands import DropSchedule, Fire, PutSchedule, ReviseSchedule
from taskqueue_ray.core.errors import (
    InvalidOption,
    InvalidRequest,
    ScheduleChanged,
    ScheduleExists,
    ScheduleNotFound,
)
from taskqueue_ray.core.model import Conditions, Input
from taskqueue_ray.core.origin import FiredBy
from taskqueue_ray.core.rules import Calendar, Cron, Every, Once
from taskqueue_ray.core.schedule import MOST_BYTES, Schedule
from tests.ledger import Ledger, facts
from tests.records import START, job_id, options
from tests.schedules import plan, put, template


def only(ledger: Ledger) -> Schedule:
    (found,) = ledger.state.schedules.values()
    return found


def test_an_interval_counts_from_the_start_of_its_schedule() -> None:
    ledger = Ledger()
    view = ledger.do(put())
    assert only(ledger).rule == Every(60.0, START)
    assert view.schedule.due == START + 60
    assert view.schedule.template.payload == b"", "lists leave it out"


def test_the_same_again_is_no_news() -> None:
    """A program that makes its schedules at each start changes nothing."""
    ledger = Ledger()
    ledger.do(put())
    ledger.now += 90
    ledger.do(Fire())
    before = facts(ledger.state)
    again = template(901, payload=b"sealed again")
    view = ledger.do(put(job=again))
    assert view.schedule.created_at == START
    assert facts(ledger.state) == before
    biweekly = Calendar((0,), weekdays=(4,), step=2, unit="week", anchor=739_000)
    ledger.do(put("b", biweekly))
    ledger.do(put("b", Calendar((0,), weekdays=(4,), step=2, unit="week", anchor=739_007)))


OTHER: dict[str, PutSchedule] = {
    "when": put(rule=Every(61.0)),
    "tz": put(zone="Europe/Berlin"),
    "overlap": put(overlap="allow"),
    "catch_up": put(catch_up="all"),
    "jitter": put(jitter=1.0),
    "max_runs": put(max_runs=7),
    "its arguments": put(job=template(fingerprint=b"others")),
    "the job or its options": put(job=template(options=options(priority=9))),
}


@pytest.mark.parametrize("differs", OTHER)
def test_another_of_that_id_is_refused_or_replaces_it(differs: str) -> None:
    ledger = Ledger()
    ledger.do(put())
    before = facts(ledger.state)
    with pytest.raises(ScheduleExists, match=f"differs in {differs}"):
        ledger.do(OTHER[differs])
    assert facts(ledger.state) == before
    other = OTHER[differs]
    ledger.do(PutSchedule(other.id, other.plan, other.template, True))
    assert (only(ledger).plan, only(ledger).template) == (other.plan, other.template)
    assert only(ledger).created_at == START


def test_a_payload_under_another_key_is_sealed_anew() -> None:
    """After a rotation nobody can tell whether the arguments are the same."""
    ledger = Ledger()
    ledger.do(put(job=template(options=options(key="k1"))))
    ledger.do(put(job=template(options=options(key="k2"), fingerprint=b"x", payload=b"new")))
    assert only(ledger).template.payload == b"new"
    assert ledger.state.keys == {"k1", "k2"}


def test_one_that_has_ended_makes_way() -> None:
    ledger = Ledger()
    ledger.do(put(rule=Once(START + 5)))
    ledger.now += 10
    ledger.do(Fire())
    ledger.do(put(rule=Every(7.0), job=template(901)))
    assert (only(ledger).fired, only(ledger).key) == (0, job_id(901))


def test_another_rule_begins_now_and_another_option_leaves_the_times_alone() -> None:
    ledger = Ledger()
    ledger.do(put())
    ledger.now += 90
    ledger.do(ReviseSchedule("minutely", 0.0, plan(overlap="allow")))
    assert (only(ledger).cursor, only(ledger).due) == (START, START + 60), "it is late, not lost"
    ledger.do(ReviseSchedule("minutely", 0.0, plan(Every(10.0))))
    assert (only(ledger).cursor, only(ledger).due) == (START + 90, START + 100)
    ledger.do(ReviseSchedule("minutely", template=template(902, fingerprint=b"new")))
    assert only(ledger).template.origin == job_id(902)


def test_of_two_who_change_it_at_once_the_second_looks_again() -> None:
    ledger = Ledger()
    seen = ledger.do(put()).schedule.updated_at
    ledger.now += 1
    ledger.do(ReviseSchedule("minutely", seen, plan(jitter=1.0)))
    with pytest.raises(ScheduleChanged):
        ledger.do(ReviseSchedule("minutely", seen, plan(jitter=2.0)))
    ledger.do(ReviseSchedule("minutely", seen, plan(jitter=1.0)))  # a repeat of the first


def test_more_runs_wake_one_that_has_ended() -> None:
    ledger = Ledger()
    ledger.do(put(max_runs=1))
    ledger.now += 60
    ledger.do(Fire())
    assert only(ledger).ended_at
    ledger.do(ReviseSchedule("minutely", 0.0, plan(max_runs=2)))
    assert (only(ledger).ended_at, only(ledger).due) == (0.0, START + 120)
    with pytest.raises(InvalidOption, match="max_runs"):
        ledger.do(ReviseSchedule("minutely", 0.0, plan(max_runs=1)))


def test_a_pause_makes_nothing_up_for() -> None:
    ledger = Ledger()
    ledger.do(put(catch_up="all"))
    ledger.do(ReviseSchedule("minutely", paused=True))
    commits = len(ledger.commits)
    ledger.do(ReviseSchedule("minutely", paused=True))
    assert len(ledger.commits) == commits, "it is paused already"
    ledger.now += 600.5
    assert ledger.do(Fire()) is None
    ledger.do(ReviseSchedule("minutely", paused=False))
    assert ledger.do(Fire()) is None, "no burst"
    assert (only(ledger).due, only(ledger).missed) == (START + 660, 0)
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_a_short_pause_loses_nothing() -> None:
    ledger = Ledger()
    ledger.do(put())
    ledger.do(ReviseSchedule("minutely", paused=True))
    ledger.now += 30
    ledger.do(ReviseSchedule("minutely", paused=False))
    assert only(ledger).due == START + 60
    assert ledger.state.firing.head() == (START + 60, "minutely")


def test_a_pause_past_the_last_time_is_the_end() -> None:
    ledger = Ledger()
    ledger.do(put(rule=Once(START + 5)))
    ledger.do(ReviseSchedule("minutely", paused=True))
    ledger.now += 10
    ledger.do(ReviseSchedule("minutely", paused=False))
    assert (only(ledger).ended_at, only(ledger).due) == (START + 10, 0.0)


def test_dropping() -> None:
    ledger = Ledger()
    ledger.do(put())
    assert ledger.do(DropSchedule("minutely")) is True
    assert ledger.do(DropSchedule("minutely")) is False
    ledger.now += 90
    assert ledger.do(Fire()) is None
    for command in (ReviseSchedule("minutely"), commands.RunSchedule("minutely", "c")):
        with pytest.raises(ScheduleNotFound, match="minutely"):
            ledger.do(command)


def test_a_single_time_may_pass_on_its_way_here() -> None:
    ledger = Ledger()
    ledger.do(put(rule=Once(START - 5)))
    assert ledger.do(Fire()).due == START - 5
    with pytest.raises(InvalidOption, match="still to come"):
        ledger.do(put("late", Once(START - 61)))


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a bad id": (put("No Name"), InvalidOption, "id"),
    "an unknown zone": (put(zone="Mars/Olympus"), InvalidOption, "tz"),
    "a negative jitter": (put(jitter=-1.0), InvalidRequest, "jitter"),
    "a window that is none": (put(window=math.nan), InvalidRequest, "window"),
    "an end before its first time": (put(until=START + 30), InvalidOption, "until"),
    "fewer than no runs": (put(max_runs=-1), InvalidRequest, "max_runs"),
    "an interval below a second": (put(rule=Every(0.5)), InvalidOption, "one second"),
    "an interval that is none": (put(rule=Every(math.inf)), InvalidOption, "when"),
    "an anchor that is none": (put(rule=Every(60.0, math.nan)), InvalidOption, "when"),
    "a time that is none": (put(rule=Once(math.nan)), InvalidOption, "when"),
    "a rule that cannot be read": (put(rule=Cron("x y z")), InvalidRequest, "."),
    "a rule with too little": (put(rule=Cron("")), InvalidRequest, "."),
    "words without end": (put(when="x" * 10_001), InvalidRequest, "too long"),
    "an origin that is none": (put(job=template(origin=b"x")), InvalidRequest, "malformed id"),
    "a queue that is none": (put(job=template(options=options(queue="Q"))), InvalidOption, "queue"),
    "a priority that is none": (
        put(job=template(options=options(priority=101))), InvalidRequest, "priority",
    ),
    "a payload that is too large": (
        put(job=template(payload=bytes(MOST_BYTES + 1))), InvalidRequest, "payload",
    ),
    "a payload beside the journal": (
        put(job=template(payload=b"\xb1" + bytes(40))), InvalidRequest, "payload",
    ),
    "a result of another as argument": (
        put(job=template(conditions=Conditions(inputs=(Input("a", (), False, "w"),)))),
        InvalidRequest, ".",
    ),
    "a job of a workflow": (
        put(job=template(conditions=Conditions(workflow="w"))), InvalidRequest, "depend",
    ),
    "a job of another schedule": (
        put(job=template(conditions=Conditions(fired=FiredBy("x", b"", 0.0)))),
        InvalidRequest, "schedule",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_schedule_can_have_is_refused(what: str) -> None:
    command, error, words = REFUSED[what]
    ledger = Ledger()
    with pytest.raises(error, match=words):
        ledger.do(command)
    assert not ledger.commits
    ledger.do(put(job=template(902)))
    before = facts(ledger.state)
    with pytest.raises((error, InvalidRequest)):
        ledger.do(ReviseSchedule("minutely", 0.0, command.plan, command.template)
                  if what != "a bad id" else command)  # fmt: skip
    assert facts(ledger.state) == before
