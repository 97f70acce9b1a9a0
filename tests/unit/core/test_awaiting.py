"""Jobs that ask, while they run, to wait for others."""

from collections.abc import Sequence

import pytest

from taskqueue_ray.core.dispatch import apply
from taskqueue_ray.core.events import Folded, Marked
from taskqueue_ray.core.exchange import Grant, OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Blocked, Finished
from taskqueue_ray.core.settling import MAX_AWAITED
from taskqueue_ray.core.why import explain
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, count_up, facts, meaning
from tests.records import job_id, outcome, spec, worker

PENDING, BLOCKED, COMPLETED = JobState.PENDING, JobState.BLOCKED, JobState.COMPLETED
FAILED, CANCELLED = JobState.FAILED, JobState.CANCELLED
ERRORED, WAITING = OutcomeKind.ERRORED, OutcomeKind.WAITING


def _waiting(*children: int, **conditions: object) -> tuple[Ledger, Grant]:
    """Job 1 ran, enqueued these, and waits for them."""
    ledger = Ledger()
    ledger.enqueue([spec(1, **conditions)])  # type: ignore[arg-type]
    grant = ledger.lease()[0]
    ledger.enqueue([spec(n) for n in children])
    _await(ledger, grant, children)
    return ledger, grant


def _await(ledger: Ledger, grant: Grant, children: Sequence[int]) -> None:
    ledger.end(grant, WAITING, awaited=tuple(map(job_id, children)))


def _end_next(ledger: Ledger, kind: OutcomeKind = OutcomeKind.COMPLETED) -> None:
    ledger.end(ledger.lease()[0], kind, final=True)


def _same_after_recovery(ledger: Ledger) -> None:
    again = ledger.replayed()
    assert facts(again) == facts(ledger.state)
    assert meaning(again) == meaning(ledger.state)
    for event in (Marked(999), Folded(999, 0.0)):
        apply(again, event)
    loaded = read_snapshot(write_snapshot(again))
    assert meaning(loaded) == meaning(ledger.state)
    count_up(ledger.state)


def test_it_goes_on_when_all_have_ended_and_pays_for_nothing() -> None:
    ledger, grant = _waiting(2, 3)
    assert ledger.state_of(1) is BLOCKED
    assert "w" not in ledger.state.held
    _same_after_recovery(ledger)
    _end_next(ledger)
    assert ledger.state_of(1) is BLOCKED
    _end_next(ledger)
    assert ledger.order() == [1]
    again = ledger.lease()[0]
    assert (again.delivery, again.attempt) == (grant.delivery + 1, 1)
    ledger.end(again)
    assert ledger.state.children == {}
    count_up(ledger.state)


def test_what_has_ended_or_is_forgotten_is_not_waited_for() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)])
    waits, other = ledger.lease(2)
    ledger.end(other)
    _await(ledger, waits, [2, 77])
    assert ledger.order() == [1]
    _same_after_recovery(ledger)


def test_a_child_that_completes_in_the_same_exchange_is_not_waited_for() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2), spec(3)])
    waits, done, bad = ledger.lease(3)
    ledger.settle(
        outcome(waits, WAITING, awaited=(job_id(2), job_id(3))),
        outcome(done),
        outcome(bad, ERRORED, final=True),
    )
    assert ledger.state_of(1) is CANCELLED
    _same_after_recovery(ledger)


def test_the_token_fences_and_a_repeat_changes_nothing() -> None:
    ledger, grant = _waiting(2)
    before = len(ledger.commits)
    assert ledger.settle(outcome(grant, WAITING, awaited=(job_id(2),))) == []
    assert ledger.settle(outcome(grant)) == [grant.id]
    assert len(ledger.commits) == before


def test_a_child_that_fails_takes_it_along_or_not_as_it_says() -> None:
    for policy, expected in (
        ("cancel", CANCELLED),
        ("continue", PENDING),
        ("wait", BLOCKED),
    ):
        ledger, _ = _waiting(2, on_parent_failure=policy)
        _end_next(ledger, ERRORED)
        assert ledger.state_of(1) is expected, policy
        _same_after_recovery(ledger)


def test_one_that_ran_after_a_failure_goes_on_whatever_becomes_of_the_next() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(9), spec(1, parents=[9], on_parent_failure="only")])
    _end_next(ledger, ERRORED)
    grant = ledger.lease()[0]
    ledger.enqueue([spec(2), spec(3)])
    _await(ledger, grant, [2, 3])
    _end_next(ledger)
    _end_next(ledger)
    assert ledger.order() == [1]
    _same_after_recovery(ledger)


def test_waiting_for_what_has_failed_already() -> None:
    for policy, expected in (("cancel", CANCELLED), ("continue", PENDING), ("wait", BLOCKED)):
        ledger = Ledger()
        ledger.enqueue([spec(1, on_parent_failure=policy), spec(2)])
        waits, bad = ledger.lease(2)
        ledger.end(bad, ERRORED, final=True)
        _await(ledger, waits, [2])
        assert ledger.state_of(1) is expected, policy
        _same_after_recovery(ledger)
    ledger.redrive(2)
    _end_next(ledger)
    assert ledger.order() == [1]


def test_it_can_be_cancelled_and_does_not_expire() -> None:
    ledger, _ = _waiting(2, expires=Ledger().now + 50)
    ledger.wait(100)
    assert ledger.state_of(1) is BLOCKED
    ledger.cancel(1)
    assert ledger.state_of(1) is CANCELLED
    _end_next(ledger)
    count_up(ledger.state)


def test_one_that_is_to_be_cancelled_does_not_wait() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)])
    waits, _ = ledger.lease(2)
    ledger.cancel(1)
    _await(ledger, waits, [2])
    assert ledger.state_of(1) is CANCELLED


def test_it_lets_go_of_its_concurrency_key() -> None:
    """Those that it waits for may need the key."""
    ledger = Ledger()
    ledger.enqueue([spec(1, concurrency_key="k", ordered=True)])
    grant = ledger.lease()[0]
    ledger.enqueue([spec(2, concurrency_key="k", ordered=True)])
    assert ledger.order() == []
    _await(ledger, grant, [2])
    assert ledger.order() == [2]
    _same_after_recovery(ledger)
    _end_next(ledger)
    assert ledger.order() == [1]


@pytest.mark.parametrize("awaited", [[1], [3], [2, 4]])
def test_a_ring_is_refused_as_a_failure(awaited: list[int]) -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2), spec(3, parents=[1]), spec(4, parents=[3])])
    _await(ledger, ledger.lease()[0], awaited)
    job = ledger.job(1)
    assert (job.state, job.history[-1].failure.error_type) == (FAILED, "CircularWait")
    assert ledger.state_of(4) is CANCELLED


def test_one_that_has_ended_waits_for_nobody() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, on_parent_failure="continue"), spec(2, parents=[1])])
    grant = ledger.lease()[0]
    ledger.cancel(2)
    _await(ledger, grant, [2])
    assert ledger.state_of(1) is PENDING


def test_too_many_are_refused_as_a_failure() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    _await(ledger, ledger.lease()[0], range(2, MAX_AWAITED + 3))
    assert ledger.job(1).history[-1].failure.error_type == "TooManyAwaited"


def test_why_names_what_it_waits_for() -> None:
    ledger, _ = _waiting(2, 3)
    found = explain(ledger.state, ledger.job(1), [worker()], ledger.now)
    assert (found.reason, found.facts["awaited"]) == ("parents", 2)
    assert "asked to wait for" in found.sentence


# --- jobs that run only when a parent fails ---


def test_only_after_a_failure() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2), spec(3, parents=[1, 2], on_parent_failure="only")])
    _end_next(ledger, ERRORED)
    phase = ledger.job(3).phase
    assert isinstance(phase, Blocked)
    assert phase.failed
    _same_after_recovery(ledger)
    _end_next(ledger)
    assert ledger.order() == [3]


def test_without_a_failure_it_is_not_needed() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1], on_parent_failure="only")])
    ledger.enqueue([spec(3, parents=[2], on_parent_failure="continue")])
    _end_next(ledger)
    phase = ledger.job(2).phase
    assert isinstance(phase, Finished)
    assert (phase.state, phase.reason) == (CANCELLED, "unneeded")
    assert ledger.order() == [3]
    _same_after_recovery(ledger)


def test_only_needs_a_parent() -> None:
    from taskqueue_ray.core.errors import InvalidRequest

    with pytest.raises(InvalidRequest, match="needs a parent"):
        Ledger().enqueue([spec(1, on_parent_failure="only")])


def test_only_meets_parents_that_have_ended() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2), spec(3)])
    good, bad, _ = ledger.lease(3)
    ledger.settle(outcome(good), outcome(bad, ERRORED, final=True))
    past = {job_id(50): FAILED, job_id(51): COMPLETED}
    ledger.enqueue(
        [
            spec(4, parents=[1], on_parent_failure="only"),
            spec(5, parents=[1, 2], on_parent_failure="only"),
            spec(6, parents=[2, 3], on_parent_failure="only"),
            spec(7, parents=[50, 3], on_parent_failure="only"),
            spec(8, parents=[51, 3], on_parent_failure="only"),
        ],
        past=past,
    )
    assert [ledger.state_of(n) for n in (4, 5)] == [CANCELLED, PENDING]
    ledger.end(ledger.lease(1, worker())[0])  # 5
    ledger.lose()  # 3 comes back
    _end_next(ledger)
    assert [ledger.state_of(n) for n in (6, 7, 8)] == [PENDING, PENDING, CANCELLED]
    _same_after_recovery(ledger)


# --- jobs that others wait for because these say so ---


def test_a_job_that_joins_is_waited_for_too() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1])])
    ledger.enqueue([spec(3, before=(job_id(2),))])
    _end_next(ledger)
    assert ledger.state_of(2) is BLOCKED
    _same_after_recovery(ledger)
    _end_next(ledger)
    assert ledger.order() == [2]


def test_one_that_joins_and_ends_at_once() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    ledger.cancel(1)
    ledger.enqueue([spec(2), spec(3, parents=[2], on_parent_failure="continue")])
    ledger.enqueue([spec(4, parents=[1], before=(job_id(3),))])
    assert ledger.state_of(4) is CANCELLED
    _end_next(ledger)
    assert ledger.order() == [3]
    _same_after_recovery(ledger)


def test_what_no_longer_waits_cannot_be_joined() -> None:
    from taskqueue_ray.core.errors import BatchEnded

    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1])])
    _end_next(ledger)
    for number in (2, 77):
        with pytest.raises(BatchEnded):
            ledger.enqueue([spec(3, before=(job_id(number),))])
    assert ledger.state_of(3) is None


def test_a_repeat_of_a_job_that_joined_is_no_refusal() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1])])
    late = spec(3, before=(job_id(2),))
    ledger.enqueue([late])
    _end_next(ledger)
    _end_next(ledger)
    assert ledger.enqueue([late]).known == [0]


def test_a_job_cannot_join_what_it_needs() -> None:
    from taskqueue_ray.core.errors import InvalidRequest

    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1]), spec(3, parents=[2])])
    for parent in (2, 3):
        with pytest.raises(InvalidRequest, match="waits for it"):
            ledger.enqueue([spec(4, parents=[parent], before=(job_id(2),))])


# --- counters of workflows ---


def test_a_workflow_is_counted_and_forgotten_with_its_last_job() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n, workflow="flow:1") for n in (1, 2, 3)])
    ledger.enqueue([spec(4)])
    _end_next(ledger)
    _end_next(ledger, ERRORED)
    tally = ledger.state.workflows["flow:1"]
    assert tally.counts == {COMPLETED: 1, FAILED: 1, PENDING: 1}
    assert facts(ledger.replayed()) == facts(ledger.state)
    _end_next(ledger)
    ledger.record([Marked(50), Folded(50, ledger.now + 1)])
    assert ledger.state.workflows  # a dead letter is there
    ledger.purge(2)
    ledger.redrive(2)
    _end_next(ledger)
    ledger.record([Marked(51), Folded(51, ledger.now + 1)])
    assert not ledger.state.workflows


def test_a_child_that_began_to_wait_late_is_told_in_its_order_of_age() -> None:
    """Else a queue that came out of a snapshot would end them in another order."""
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2), spec(3, parents=[2])])
    grant = ledger.lease()[0]
    _await(ledger, grant, [2])
    ledger.cancel(2)
    ended = [one for one in ledger.state.settled if one in (job_id(1), job_id(3))]
    assert ended == [job_id(1), job_id(3)]
    _same_after_recovery(ledger)
