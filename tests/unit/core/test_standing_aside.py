"""Pauses and concurrency keys: pending jobs that are not to be leased now."""

from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import InvalidOption, QueueFull
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Claim, JobSpec
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, count_up, facts, meaning
from tests.records import options, spec

A, B = options(type="a", tags=("x",)), options(type="b", queue="other", tags=("x", "y"))


def pause(ledger: Ledger, kind: str, name: str) -> bool:
    begun: bool = ledger.do(commands.Pause(kind, name))
    return begun


def resume(ledger: Ledger, kind: str, name: str) -> bool:
    ended: bool = ledger.do(commands.Resume(kind, name))
    return ended


def keyed(number: int, option: int = 0, *, ordered: bool = False, **more: Any) -> JobSpec:
    return spec(number, option, concurrency_key="k", ordered=ordered, **more)


@pytest.mark.parametrize(
    ("kind", "name", "left"),
    [("queue", "q", [2, 4]), ("type", "b", [1, 3]), ("tag", "y", [1, 3]), ("tag", "x", [])],
)
def test_what_is_paused_is_not_leased_until_it_is_resumed(
    kind: str, name: str, left: list[int]
) -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, 0), spec(2, 1)], A, B)
    assert pause(ledger, kind, name)
    assert not pause(ledger, kind, name)
    ledger.enqueue([spec(3, 0), spec(4, 1)], A, B)
    assert ledger.order() == left
    assert all(ledger.state_of(n) is JobState.PENDING for n in (1, 2, 3, 4))
    assert resume(ledger, kind, name)
    assert not resume(ledger, kind, name)
    assert ledger.order() == [1, 2, 3, 4]
    count_up(ledger.state)


def test_jobs_in_hand_go_on_and_come_back_to_a_pause() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)], A)
    one, two = ledger.lease(2)
    pause(ledger, "type", "a")
    ledger.end(one)
    ledger.end(two, OutcomeKind.RELEASED)
    assert ledger.state_of(1) is JobState.COMPLETED
    assert ledger.order() == []
    resume(ledger, "type", "a")
    assert ledger.order() == [2]


def test_two_pauses_of_one_job_must_both_end() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)], A)
    pause(ledger, "type", "a")
    pause(ledger, "tag", "x")
    resume(ledger, "type", "a")
    assert ledger.order() == []
    resume(ledger, "tag", "x")
    assert ledger.order() == [1]


def test_a_paused_job_can_be_cancelled_and_does_not_come_back() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)], A)
    pause(ledger, "type", "a")
    ledger.cancel(1)
    resume(ledger, "type", "a")
    assert ledger.order() == [2]
    count_up(ledger.state)


def test_pauses_survive_a_replay_and_a_snapshot() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, 0), spec(2, 1)], A, B)
    pause(ledger, "type", "a")
    pause(ledger, "queue", "other")
    for again in (ledger.replayed(), read_snapshot(write_snapshot(ledger.state))):
        assert facts(again) == facts(ledger.state)
        assert meaning(again) == meaning(ledger.state)
        assert again.ready.pick((), lambda lane: True, 9) == []


@pytest.mark.parametrize(
    ("kind", "name"), [("worker", "x"), ("queue", "No Such"), ("tag", ""), ("type", "a b")]
)
def test_what_cannot_be_paused_is_refused(kind: str, name: str) -> None:
    with pytest.raises(InvalidOption):
        pause(Ledger(), kind, name)


def test_one_of_a_concurrency_key_at_a_time_in_order() -> None:
    ledger = Ledger()
    ledger.enqueue([keyed(1), keyed(2), keyed(3), spec(4)])
    assert ledger.order() == [1, 4]
    first = ledger.lease(1)[0]
    assert ledger.order() == [4]
    ledger.end(first)
    assert ledger.order() == [2, 4]
    count_up(ledger.state)


def test_a_key_belongs_to_its_queue() -> None:
    ledger = Ledger()
    ledger.enqueue([keyed(1, 0), keyed(2, 1)], options(), options(queue="other"))
    assert ledger.order() == [1, 2]


def test_a_job_of_higher_priority_goes_before_one_that_has_the_key_but_waits() -> None:
    ledger = Ledger()
    shared = [options(), options(priority=9)]
    ledger.enqueue([keyed(1, 0), keyed(2, 0)], *shared)
    ledger.enqueue([keyed(3, 1)], *shared)
    assert ledger.order() == [3]
    ledger.end(ledger.lease()[0])
    assert ledger.order() == [1]
    ledger.lease()
    ledger.enqueue([keyed(4, 1)], *shared)
    assert ledger.order() == []


@pytest.mark.parametrize("ordered", [False, True])
def test_a_job_that_waits_for_a_retry_keeps_the_key_only_if_ordered(ordered: bool) -> None:
    ledger = Ledger()
    ledger.enqueue([keyed(1, ordered=ordered), keyed(2, ordered=ordered)])
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    assert ledger.order() == ([] if ordered else [2])
    ledger.wait(3600)
    assert ledger.order() == [1]
    ledger.end(ledger.lease()[0])
    assert ledger.order() == [2]


def test_a_job_with_a_delay_does_not_have_the_key_yet() -> None:
    ledger = Ledger()
    ledger.enqueue([keyed(1, due=ledger.now + 10, ordered=True), keyed(2, ordered=True)])
    assert ledger.order() == [2]
    ledger.lease()
    ledger.wait(20)
    assert ledger.order() == []


@pytest.mark.parametrize("end", ["cancel", "cancel aside", "lose", "fail", "expire"])
def test_every_end_hands_the_key_on(end: str) -> None:
    ledger = Ledger()
    ledger.enqueue([keyed(1, expires=ledger.now + 10), keyed(2), keyed(3)])
    match end:
        case "cancel":
            ledger.cancel(1)
        case "cancel aside":
            ledger.cancel(2)
            ledger.end(ledger.lease()[0])
            assert ledger.order() == [3]
            return
        case "lose":
            ledger.lease()
            ledger.lose()
            assert ledger.order() == [1]
            return
        case "fail":
            ledger.end(ledger.lease()[0], OutcomeKind.ERRORED, final=True)
        case "expire":
            ledger.wait(11)
    assert ledger.order() == [2]
    count_up(ledger.state)


def test_a_paused_type_lets_others_of_its_key_go() -> None:
    ledger = Ledger()
    ledger.enqueue([keyed(1, 0), keyed(2, 1)], A, options(type="c"))
    pause(ledger, "type", "a")
    assert ledger.order() == [2]
    resume(ledger, "type", "a")
    assert ledger.order() == [1]


def test_keys_survive_a_replay_and_a_snapshot() -> None:
    ledger = Ledger()
    ledger.enqueue([keyed(n) for n in (1, 2, 3)])
    ledger.enqueue([spec(n, concurrency_key="o", ordered=True) for n in (11, 12)])
    ledger.end(ledger.lease(9)[1], OutcomeKind.ERRORED)
    for again in (ledger.replayed(), read_snapshot(write_snapshot(ledger.state))):
        assert facts(again) == facts(ledger.state)
        assert meaning(again) == meaning(ledger.state)
        assert again.ready.pick((), lambda lane: True, 9) == []


def test_a_queue_may_have_a_depth_of_its_own() -> None:
    ledger = Ledger()
    ledger.do(commands.Configure("q", max_depth=2))
    ledger.enqueue([spec(1), spec(2)])
    with pytest.raises(QueueFull):
        ledger.enqueue([spec(3)])
    ledger.enqueue([spec(3)], options(queue="other"))
    ledger.do(commands.Configure("q", None))
    ledger.enqueue([spec(4)])
    with pytest.raises(InvalidOption, match="max_depth"):
        ledger.do(commands.Configure("q", max_depth=-1))


def test_thousands_may_stand_behind_one_key_when_they_are_paused() -> None:
    ledger = Ledger()
    many = range(2, 5_002)
    ledger.enqueue([keyed(1, 0)] + [keyed(n, 1) for n in many], options(), options(tags=("p",)))
    first = ledger.lease()[0]
    pause(ledger, "tag", "p")
    ledger.end(first)
    assert ledger.state_of(1) is JobState.COMPLETED
    assert ledger.order() == []
    assert facts(ledger.replayed()) == facts(ledger.state)
    resume(ledger, "tag", "p")
    assert ledger.order() == [2]


def test_jobs_that_moved_on_do_not_gather_where_nothing_is_leased() -> None:
    """Each enqueue replaces the one before, while the queue, or the type, is paused."""
    for kind, name, key in (("queue", "q", ""), ("type", "t", ""), ("tag", "none", "k")):
        ledger = Ledger()
        ledger.enqueue([spec(1, concurrency_key="k")])
        pause(ledger, kind, name)
        ledger.lease()
        for n in range(2, 5_000):
            unique = Claim("u", 0.0, "replace")
            ledger.enqueue([spec(n, unique=unique, concurrency_key=key)])
        assert sum(map(len, ledger.state.ready.lines())) <= 1_200, kind
        assert len(ledger.state.jobs) == 2


def test_settings_that_are_not_named_stay() -> None:
    ledger = Ledger()
    ledger.do(commands.Configure("q", max_depth=2))
    settings = ledger.do(commands.Configure("q", weights={"a": 2.0}))
    assert (settings.max_depth, settings.weights) == (2, {"a": 2.0})
    assert ledger.do(commands.Configure("q", max_depth=None)).weights == {"a": 2.0}
