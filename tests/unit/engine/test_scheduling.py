"""Schedulers ask the queue to fire: calls are held, two are harmless, without any it is late."""

from typing import Any

from taskqueue_ray.core.errors import QueueClosed
from taskqueue_ray.core.exchange import FireRequest, Fires
from taskqueue_ray.core.rules import Every
from tests.schedules import put, template
from tests.unit.engine.engine_trial import Box, Hand, Trial


def _trial(**given: Any) -> Trial:
    trial = Trial()
    trial.writer.at_once = True
    trial.engine.scheduling.grow(put(**given), Box())
    return trial


def _ask(trial: Trial, name: str = "s", wait: float = 50.0) -> Box:
    box = Box()
    trial.engine.scheduling.fire(FireRequest(name, wait), box)
    return box


def test_a_call_is_held_until_something_is_due() -> None:
    trial = _trial()
    box = _ask(trial, wait=59.0)
    trial.pass_time(55)
    assert box.empty
    trial.pass_time(5)
    assert isinstance(box.answer, Fires)
    assert (box.answer.dealt, box.answer.next_due) == (1, trial.clock.at + 60)


def test_a_call_is_not_held_for_ever() -> None:
    trial = _trial()
    box = _ask(trial, wait=20.0)
    trial.pass_time(20)
    assert box.answer.dealt == 0


def test_a_change_counts_for_calls_that_are_held() -> None:
    trial = _trial()
    box = _ask(trial)
    trial.engine.scheduling.grow(put("soon", Every(2.0), job=template(901)), Box())
    trial.pass_time(2)
    assert box.answer.dealt == 1


def test_of_two_schedulers_one_fires_and_both_hear_of_it() -> None:
    trial = _trial(overlap="allow")
    first, second = _ask(trial, "first", 59.0), _ask(trial, "second", 59.0)
    trial.pass_time(60)
    assert not first.empty
    assert not second.empty
    assert trial.state.schedules["minutely"].fired == 1
    assert _ask(trial, "first", 0.0).answer.dealt == 0


def test_a_repeated_call_ends_the_one_before() -> None:
    trial = _trial()
    first = _ask(trial)
    second = _ask(trial)
    assert first.answer.dealt == 0
    assert second.empty


def test_the_answer_waits_for_the_commit() -> None:
    trial = _trial()
    trial.writer.at_once = False
    trial.clock.at += 60
    box = _ask(trial)
    assert box.empty
    trial.writer.settle()
    assert box.answer.dealt == 1


def test_nothing_is_fired_without_a_scheduler_and_one_is_missed() -> None:
    trial = Trial()
    trial.writer.at_once = True
    trial.pass_time(10)
    assert not trial.engine.scheduling.misses_one(), "there is nothing to fire"
    trial.engine.scheduling.grow(put(), Box())
    assert trial.engine.scheduling.misses_one()
    box = _ask(trial)
    assert not trial.engine.scheduling.misses_one()
    trial.pass_time(50)
    assert not box.empty
    trial.pass_time(20)
    assert trial.engine.scheduling.misses_one()
    assert trial.state.schedules["minutely"].fired == 0


def test_a_running_job_is_told_that_it_makes_way() -> None:
    trial = _trial(overlap="cancel_running")
    trial.clock.at += 60
    _ask(trial, wait=0.0)
    (job,) = trial.state.jobs.values()
    told: list[Any] = []
    trial.engine.work_desk.cancel = told.extend  # type: ignore[method-assign, assignment]  # listens
    Hand(trial).exchange(want=1)
    trial.clock.at += 60
    _ask(trial, wait=0.0)
    assert told == [job.id]


def test_many_that_are_due_at_once_are_dealt_with_in_portions() -> None:
    trial = Trial()
    trial.writer.at_once = True
    for number in range(250):
        trial.engine.scheduling.grow(put(f"s{number}", job=template(1000 + number)), Box())
    trial.clock.at += 60
    assert [_ask(trial, wait=0.0).answer.dealt for _ in range(4)] == [100, 100, 50, 0]


def test_whoever_is_held_hears_of_the_end() -> None:
    trial = _trial()
    box = _ask(trial)
    trial.engine.close()
    assert isinstance(box.answer, QueueClosed)


def test_idle_schedules_cost_a_tick_nothing() -> None:
    """A tick looks at one entry, however many there are."""
    trial = Trial()
    trial.writer.at_once = True
    for number in range(2_000):
        trial.engine.scheduling.grow(put(f"s{number}", job=template(1000 + number)), Box())
    looked = 0
    honest = trial.state._is_awake

    def count(entry: tuple[float, str]) -> bool:
        nonlocal looked
        looked += 1
        return honest(entry)

    trial.state.firing._is_current = count
    _ask(trial)
    looked = 0
    for _ in range(10):
        trial.engine.tick()
    assert looked <= 20
