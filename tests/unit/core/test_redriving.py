"""Redrive with other options: only dead letters, only what may change, the same in a replay."""

from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.changes import CHANGEABLE, UNCHANGED, Changes, changes_of
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest, QueueFull
from taskqueue_ray.core.events import Redriven, decode, encode
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.options import NAMES
from taskqueue_ray.core.retry import Backoff
from tests.ledger import Ledger, count_up, facts, meaning
from tests.records import START, job_id, options, spec, worker

ONLY_MAIL = worker(queues=("mail",))
ONLY_Q = worker("o", queues=("q",))


def _dead(*numbers: int) -> Ledger:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in numbers], options(max_attempts=1, tags=("old",)))
    for grant in ledger.lease(len(numbers)):
        ledger.end(grant, OutcomeKind.ERRORED)
    return ledger


def _counts(ledger: Ledger, queue: str) -> dict[str, int]:
    totals = ledger.state.totals.get(queue)
    return {one.value: n for one, n in totals.counts.items() if n} if totals else {}


def _sound(ledger: Ledger) -> None:
    count_up(ledger.state)
    again = ledger.replayed()
    assert facts(again) == facts(ledger.state)
    assert meaning(again) == meaning(ledger.state)


def test_only_what_is_named_changes() -> None:
    ledger = _dead(1)
    before = ledger.job(1).options
    backoff = Backoff(kind="fixed", base=7.0)
    assert ledger.redrive(1, max_attempts=4, backoff=backoff, timeout=9.0, tags=()) == [job_id(1)]
    job = ledger.job(1)
    assert job.options == options(max_attempts=4, backoff=backoff, timeout=9.0)
    assert (job.options.priority, job.options.queue) == (before.priority, before.queue)
    assert (job.generation, job.attempts, job.state) == (1, 0, JobState.PENDING)
    assert [one.number for one in job.history] == [1]
    _sound(ledger)


def test_a_backoff_that_is_named_goes_before_the_function_of_the_type() -> None:
    its_own = options(own_backoff=True)
    assert not Changes(backoff=Backoff(kind="fixed")).made_to(its_own).own_backoff
    assert Changes(priority=9).made_to(its_own).own_backoff


def test_with_no_change_the_options_are_the_very_same() -> None:
    ledger = _dead(1)
    before = ledger.job(1).options
    ledger.redrive(1)
    assert ledger.job(1).options is before
    [event] = decode(ledger.commits[-1])
    assert isinstance(event, Redriven)
    assert event.changes == UNCHANGED


def test_jobs_in_another_queue_are_leased_and_counted_there() -> None:
    ledger = _dead(1, 2)
    ledger.redrive(1, queue="mail")
    assert _counts(ledger, "q") == {"failed": 1}
    assert _counts(ledger, "mail") == {"pending": 1}
    assert ledger.order(info=ONLY_Q) == []
    assert ledger.order(info=ONLY_MAIL) == [1]
    _sound(ledger)
    ledger.end(ledger.lease(info=ONLY_MAIL)[0])
    assert _counts(ledger, "mail") == {"completed": 1}
    _sound(ledger)


def test_the_history_of_the_first_life_keeps_its_options() -> None:
    ledger = _dead(1)
    ledger.redrive(1, queue="mail")
    ledger.end(ledger.lease()[0])
    records = ledger.state.unfolded.values()
    assert [(one.options.queue, one.state.value) for one in records] == [
        ("q", "failed"),
        ("mail", "completed"),
    ]


def test_another_priority_is_another_place_in_line() -> None:
    ledger = _dead(1, 2, 3)
    ledger.redrive(1, 2)
    ledger.redrive(3, priority=9)
    assert ledger.order() == [3, 1, 2]


def test_an_entry_left_in_the_old_line_does_not_stand_for_the_job_again() -> None:
    """It was leased past a head that still waits, so its entry stays behind that."""
    ledger = Ledger()
    ledger.enqueue([spec(1, expires=START + 5), spec(2)], options(max_attempts=1))
    ledger.now += 6
    [second] = ledger.lease(2)  # the first is past its time, and was not yet taken out
    assert second.id == job_id(2)
    ledger.end(second, OutcomeKind.ERRORED)
    ledger.redrive(2, queue="mail")
    assert ledger.order(info=ONLY_Q) == [1]
    assert ledger.order(info=ONLY_MAIL) == [2]


def test_another_queue_takes_no_more_than_it_has_room_for() -> None:
    ledger = _dead(1, 2, 3)
    ledger.do(commands.Configure("mail", max_depth=2))
    with pytest.raises(QueueFull) as refusal:
        ledger.redrive(1, 2, 3, queue="mail")
    assert refusal.value.fields["queue"] == "mail"
    assert _counts(ledger, "q") == {"failed": 3}
    assert ledger.redrive(1, 2, queue="mail") == [job_id(1), job_id(2)]
    with pytest.raises(QueueFull):
        ledger.redrive(3, queue="mail")
    _sound(ledger)


def test_its_own_queue_takes_a_job_back_at_any_depth() -> None:
    ledger = _dead(1, 2)
    ledger.do(commands.Configure("q", max_depth=0))
    assert ledger.redrive(1, queue="q", priority=8) == [job_id(1)]
    assert ledger.redrive(2) == [job_id(2)]


def test_the_bound_of_all_queues_holds_too() -> None:
    ledger = _dead(1, 2)
    ledger.bounds = Bounds(max_depth=1)
    with pytest.raises(QueueFull):
        ledger.redrive(1, 2, queue="mail")
    assert ledger.redrive(1, queue="mail") == [job_id(1)]


@pytest.mark.parametrize(
    "changes",
    [{"priority": 101}, {"max_attempts": 0}, {"timeout": float("nan")}, {"queue": "No Queue"},
     {"backoff": Backoff(base=-1.0)}],
)  # fmt: skip
def test_what_no_job_can_have_is_refused_whoever_sends_it(changes: dict[str, Any]) -> None:
    ledger = _dead(1)
    with pytest.raises((InvalidRequest, InvalidOption)):
        ledger.redrive(1, **changes)
    assert ledger.state_of(1) is JobState.FAILED


def test_of_a_redrive_and_a_purge_the_first_wins() -> None:
    first = _dead(1)
    assert first.redrive(1, queue="mail") == [job_id(1)]
    assert first.purge(1) == []
    assert first.state_of(1) is JobState.PENDING
    _sound(first)
    other = _dead(1)
    assert other.purge(1) == [job_id(1)]
    assert other.redrive(1, queue="mail") == []
    assert _counts(other, "mail") == {}
    _sound(other)


def test_a_parent_in_another_queue_still_frees_its_children() -> None:
    ledger = _dead(1)
    ledger.enqueue([spec(2, parents=[1], on_parent_failure="wait")])
    ledger.redrive(1, queue="mail")
    ledger.end(ledger.lease(info=ONLY_MAIL)[0])
    assert ledger.state_of(2) is JobState.PENDING


def test_a_concurrency_key_holds_in_the_queue_to_which_it_goes() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, concurrency_key="k")], options(max_attempts=1))
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    ledger.enqueue([spec(2, concurrency_key="k")], options(queue="mail"))
    ledger.enqueue([spec(3, concurrency_key="k")])
    ledger.redrive(1, queue="mail")
    assert len(ledger.lease(9, ONLY_MAIL)) == 1
    assert [one.id for one in ledger.lease(9, ONLY_Q)] == [job_id(3)]
    _sound(ledger)


def test_the_event_is_journalled_whole() -> None:
    event = Redriven(1.0, [job_id(1)], Changes("mail", 7, name=None, tags=("a",)))
    assert decode(encode([event])) == [event]


def test_what_users_name_is_checked_as_at_enqueueing() -> None:
    assert changes_of(None) == changes_of({}) == UNCHANGED
    given = {"queue": "slow", "timeout": "5m", "give_up_on": [OSError], "category": None}
    made = Changes("slow", timeout=300.0, give_up_on=("OSError",), category=None)
    assert changes_of(given) == made
    for name, value in {"priority": True, "timeout": 0, "tags": "x", "queue": "A"}.items():
        with pytest.raises(InvalidOption) as refusal:
            changes_of({name: value})
        assert refusal.value.fields["option"] == name


@pytest.mark.parametrize("name", sorted({*NAMES, "type", "key", "nonsense"} - {*CHANGEABLE}))
def test_the_rest_is_refused_and_the_refusal_says_what_may_change(name: str) -> None:
    with pytest.raises(InvalidOption, match="may change queue, priority") as refusal:
        changes_of({name: "x"})
    assert refusal.value.fields["option"] == name


@pytest.mark.parametrize("given", ["queue", 7, [("queue", "x")]])
def test_what_is_no_dict_is_refused(given: object) -> None:
    with pytest.raises(InvalidOption, match="a dict"):
        changes_of(given)
