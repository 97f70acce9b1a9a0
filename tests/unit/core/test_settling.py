"""Outcomes: what each leads to, and under which token."""

import math

import pytest

from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import KEPT_ATTEMPTS, Failure, Finished, Scheduled
from taskqueue_ray.core.retry import Backoff
from tests.ledger import Ledger, count_up, facts
from tests.records import BROKE, job_id, options, outcome, spec, worker

FIXED = options(backoff=Backoff(kind="fixed", base=10.0, jitter=False))
KINDS = list(OutcomeKind)


def _leased(jobs: int = 1, shared: object = FIXED) -> tuple[Ledger, list]:  # type: ignore[type-arg]
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, jobs + 1)], shared)  # type: ignore[arg-type]
    return ledger, ledger.lease(jobs)


def test_a_completion_keeps_the_result_and_when_it_ran() -> None:
    ledger, (grant,) = _leased()
    ledger.now += 3
    ledger.end(grant, result=b"r", started_at=ledger.now - 2, seconds=1.5)
    job = ledger.job(1)
    assert job.phase == Finished(
        JobState.COMPLETED, ledger.now, grant.lease, b"r", ledger.now - 2, 1.5
    )
    assert (job.attempts, job.delivery, job.running) == (1, 1, False)
    assert ledger.state.held == {}


def test_an_error_is_tried_again_after_the_backoff() -> None:
    ledger, (grant,) = _leased()
    ledger.end(grant, OutcomeKind.ERRORED)
    assert ledger.job(1).phase == Scheduled(ledger.now + 10)
    assert ledger.job(1).attempts == 1
    assert ledger.job(1).history[0].failure == BROKE
    assert ledger.state.totals["q"].retries == 1
    ledger.wait(9.9)
    assert ledger.order() == []
    ledger.wait(0.1)
    assert ledger.order() == [1]


def test_attempts_are_counted_to_the_last_one() -> None:
    ledger, grants = _leased(shared=options(max_attempts=3))
    for attempt in (1, 2, 3):
        assert grants[0].attempt == attempt
        ledger.end(grants[0], OutcomeKind.ERRORED)
        ledger.wait(3600)
        grants = ledger.lease()
    job = ledger.job(1)
    assert grants == []
    assert isinstance(job.phase, Finished)
    assert (job.state, job.phase.reason, job.attempts) == (JobState.FAILED, "attempts", 3)
    assert [one.number for one in job.history] == [1, 2, 3]
    assert [one.delivery for one in job.history] == [1, 2, 3]


def test_a_final_error_leaves_attempts_unused() -> None:
    ledger, (grant,) = _leased()
    ledger.end(grant, OutcomeKind.ERRORED, final=True)
    phase = ledger.job(1).phase
    assert isinstance(phase, Finished)
    assert (phase.state, phase.reason) == (JobState.FAILED, "final")


def test_an_error_without_a_failure_counts_as_an_attempt() -> None:
    ledger, (grant,) = _leased(shared=options(max_attempts=1))
    ledger.end(grant, OutcomeKind.ERRORED, failure=None)
    assert ledger.job(1).state is JobState.FAILED
    assert ledger.job(1).history[0].failure == Failure("error", "Unknown")


def test_a_job_may_choose_when_it_is_tried_again() -> None:
    ledger, (grant,) = _leased()
    ledger.end(grant, OutcomeKind.ERRORED, due=ledger.now + 77)
    assert ledger.job(1).phase == Scheduled(ledger.now + 77)


@pytest.mark.parametrize("due", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.parametrize("kind", [OutcomeKind.SNOOZED, OutcomeKind.ERRORED])
def test_a_time_that_is_none_does_not_lose_the_job(kind: OutcomeKind, due: float) -> None:
    ledger, (grant,) = _leased()
    ledger.end(grant, kind, due=due)
    assert ledger.job(1).state is JobState.SCHEDULED
    count_up(ledger.state)
    ledger.wait(10)
    assert ledger.order() == [1]
    count_up(ledger.state)


def test_a_snooze_and_a_release_count_nothing_against_a_job() -> None:
    ledger, (first, second) = _leased(2)
    ledger.end(first, OutcomeKind.SNOOZED, due=ledger.now + 5)
    ledger.end(second, OutcomeKind.RELEASED)
    for number in (1, 2):
        job = ledger.job(number)
        assert (job.attempts, job.losses, job.history, job.delivery) == (0, 0, (), 1)
    assert ledger.job(1).phase == Scheduled(ledger.now + 5)
    assert ledger.order() == [2]


@pytest.mark.parametrize(
    "kind", [OutcomeKind.ERRORED, OutcomeKind.RELEASED, OutcomeKind.SNOOZED, OutcomeKind.CANCELLED]
)
def test_a_job_that_is_to_be_cancelled_ends_so(kind: OutcomeKind) -> None:
    ledger, (grant,) = _leased()
    ledger.cancel(1)
    ledger.end(grant, kind)
    assert ledger.state_of(1) is JobState.CANCELLED


def test_only_the_latest_failures_are_kept() -> None:
    ledger, grants = _leased(shared=options(max_attempts=100))
    for _ in range(KEPT_ATTEMPTS + 5):
        ledger.end(grants[0], OutcomeKind.ERRORED)
        ledger.wait(3600)
        grants = ledger.lease()
    history = ledger.job(1).history
    assert [one.number for one in history] == list(range(6, KEPT_ATTEMPTS + 6))


# --- fencing -----------------------------------------------------------------------------------


def _unchanged_by(ledger: Ledger, one: Outcome, by: str = "w") -> list[object]:
    before = facts(ledger.state)
    stale = ledger.settle(one, by=by)
    assert facts(ledger.state) == before
    return list(stale)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lease_that_another_worker_has_now_settles_nothing(kind: OutcomeKind) -> None:
    ledger, (old,) = _leased()
    ledger.lose()
    ledger.lease(info=worker("other"))
    assert _unchanged_by(ledger, outcome(old, kind)) == [old.id]


@pytest.mark.parametrize("kind", KINDS)
def test_an_earlier_lease_of_the_same_worker_settles_nothing(kind: OutcomeKind) -> None:
    ledger, (old,) = _leased()
    ledger.lose()
    ledger.lease()
    assert _unchanged_by(ledger, outcome(old, kind)) == [old.id]


@pytest.mark.parametrize("kind", KINDS)
def test_the_token_of_another_worker_settles_nothing(kind: OutcomeKind) -> None:
    ledger, (grant,) = _leased()
    assert _unchanged_by(ledger, outcome(grant, kind), by="thief") == [grant.id]
    ledger.lease(info=worker("thief"))
    assert _unchanged_by(ledger, outcome(grant, kind), by="thief") == [grant.id]


@pytest.mark.parametrize(("delivery", "lease"), [(0, 1), (2, 1), (1, 0), (1, 2)])
def test_each_part_of_the_token_counts(delivery: int, lease: int) -> None:
    ledger, (grant,) = _leased()
    wrong = Outcome(grant.id, delivery, lease, OutcomeKind.COMPLETED)
    assert _unchanged_by(ledger, wrong) == [grant.id]


def test_a_completion_under_a_lost_lease_is_named_although_nobody_has_the_job_yet() -> None:
    ledger, (grant,) = _leased()
    ledger.lose()
    assert _unchanged_by(ledger, outcome(grant)) == [grant.id]


def test_an_unknown_job_is_stale() -> None:
    ledger = Ledger()
    assert ledger.settle(Outcome(job_id(1), 1, 1, OutcomeKind.COMPLETED)) == [job_id(1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeat_changes_nothing_and_is_not_stale(kind: OutcomeKind) -> None:
    ledger, (grant,) = _leased()
    ledger.end(grant, kind, due=ledger.now + 5)
    assert _unchanged_by(ledger, outcome(grant, kind, due=ledger.now + 5)) == []


def test_a_second_outcome_of_the_same_lease_is_refused() -> None:
    ledger, (grant,) = _leased()
    ledger.end(grant, OutcomeKind.ERRORED, final=True)
    assert _unchanged_by(ledger, outcome(grant)) == [grant.id]
    ledger, (grant,) = _leased()
    ledger.end(grant)
    assert _unchanged_by(ledger, outcome(grant, OutcomeKind.ERRORED)) == [grant.id]


def test_a_repeat_after_the_record_has_gone_into_history() -> None:
    ledger, (grant,) = _leased()
    ledger.end(grant)
    ledger.purge(1)
    assert _unchanged_by(ledger, outcome(grant)) == []
    wrong = Outcome(grant.id, 7, 7, OutcomeKind.COMPLETED)
    assert _unchanged_by(ledger, wrong) == [grant.id]


def test_the_first_of_two_outcomes_in_one_request_counts() -> None:
    ledger, (grant,) = _leased()
    assert ledger.settle(outcome(grant, result=b"1"), outcome(grant, result=b"2")) == []
    phase = ledger.job(1).phase
    assert isinstance(phase, Finished)
    assert phase.result == b"1"


def test_an_older_delivery_beside_the_present_one_in_one_request() -> None:
    """An answer with a lease came so late that its job has been given to the same worker again."""
    ledger, (old,) = _leased()
    ledger.lose()
    (grant,) = ledger.lease()
    assert ledger.settle(outcome(grant), outcome(old)) == [old.id]
    assert ledger.state_of(1) is JobState.COMPLETED


def test_good_and_stale_outcomes_in_one_request() -> None:
    ledger, (first, second) = _leased(2)
    ledger.lose()
    again = ledger.lease(1)[0]
    stale = ledger.settle(outcome(first), outcome(again), outcome(second))
    # `first` and `again` are the same job; only the present token settles it.
    assert again.id == first.id
    assert stale == [first.id, second.id]
    assert ledger.state_of(1) is JobState.COMPLETED
    assert ledger.state_of(2) is JobState.PENDING
