"""Jobs that nobody started in time."""

import pytest

from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from tests.ledger import Ledger, count_up, facts, meaning, number_of
from tests.records import spec


@pytest.mark.parametrize("state", ["pending", "scheduled", "blocked"])
def test_a_job_that_waited_too_long_ends_as_expired(state: str) -> None:
    ledger = Ledger()
    ledger.enqueue([spec(9, due=ledger.now + 1000)])
    extra = {"pending": {}, "scheduled": {"due": ledger.now + 60}, "blocked": {"parents": [9]}}
    ledger.enqueue([spec(1, expires=ledger.now + 10, **extra[state])])  # type: ignore[arg-type]
    assert ledger.state_of(1) == state
    ledger.wait(9.9)
    assert ledger.state_of(1) == state
    ledger.wait(0.1)
    assert ledger.job(1).state is JobState.EXPIRED
    count_up(ledger.state)


def test_a_job_that_is_late_is_not_handed_out_between_two_ticks() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, expires=ledger.now + 10), spec(2)])
    ledger.now += 10
    assert [number_of(grant.id) for grant in ledger.lease(5)] == [2]


def test_a_job_that_was_started_in_time_does_not_expire() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, expires=ledger.now + 10)])
    grant = ledger.lease()[0]
    ledger.wait(20)
    assert ledger.state_of(1) is JobState.PROCESSING
    ledger.end(grant, OutcomeKind.ERRORED)
    ledger.wait(3600)
    assert ledger.order() == [1]


def test_a_job_that_was_given_back_unstarted_expires() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, expires=ledger.now + 10)])
    grant = ledger.lease()[0]
    ledger.wait(20)
    ledger.end(grant, OutcomeKind.RELEASED)
    ledger.wait(0.1)
    assert ledger.job(1).state is JobState.EXPIRED


def test_what_depends_on_an_expired_job_is_cancelled() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, expires=ledger.now + 1), spec(2, parents=[1])])
    ledger.wait(2)
    assert ledger.job(2).state is JobState.CANCELLED


def test_many_expire_in_portions() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n, expires=ledger.now + 1) for n in range(1, 7001)])
    ledger.wait(2)
    assert ledger.state.totals["q"].counts[JobState.EXPIRED] == 5000
    ledger.wait(0.1)
    assert ledger.state.totals["q"].counts[JobState.EXPIRED] == 7000
    count_up(ledger.state)


def test_expiry_survives_a_replay() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, expires=ledger.now + 10), spec(2, expires=ledger.now + 30)])
    ledger.wait(15)
    again = ledger.replayed()
    assert facts(again) == facts(ledger.state)
    assert meaning(again) == meaning(ledger.state)
    assert again.expiring.due(ledger.now + 15)
    assert not again.expiring.due(ledger.now + 14)


def test_what_has_ended_does_not_gather_behind_one_that_waits_for_long() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, 0, due=ledger.now + 9e6, expires=ledger.now + 1e5)])
    for n in range(2, 5_000):
        ledger.enqueue([spec(n, expires=ledger.now + 1e6)])
        ledger.end(ledger.lease()[0])
    assert len(ledger.state.expiring) <= 1_100


def test_a_job_that_was_started_and_snoozed_does_not_expire() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, expires=ledger.now + 10)])
    ledger.end(ledger.lease()[0], OutcomeKind.SNOOZED, due=ledger.now + 20)
    ledger.wait(15)
    assert ledger.state_of(1) is JobState.SCHEDULED
    assert facts(ledger.replayed()) == facts(ledger.state)
