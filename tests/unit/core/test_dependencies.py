"""Jobs that wait for other jobs."""

import pytest

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Blocked, Finished, Scheduled
from tests.ledger import Ledger, count_up, facts
from tests.records import job_id, options, outcome, spec

COMPLETED, FAILED, CANCELLED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED


def awaited(ledger: Ledger, number: int) -> int:
    """For how many parents a job waits."""
    phase = ledger.job(number).phase
    assert isinstance(phase, Blocked)
    return len(phase.parents)


def _run_next(ledger: Ledger) -> None:
    ledger.end(ledger.lease()[0])


def test_a_chain_runs_one_after_the_other() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1]), spec(3, parents=[2])])
    for expected in (1, 2, 3):
        assert ledger.order() == [expected]
        _run_next(ledger)
    assert ledger.state.children == {}


def test_a_diamond_waits_for_both_sides() -> None:
    ledger = Ledger()
    ledger.enqueue(
        [spec(1), spec(2, parents=[1]), spec(3, parents=[1]), spec(4, parents=[2, 3, 2])]
    )
    assert awaited(ledger, 4) == 2
    assert ledger.job(4).parents == (job_id(2), job_id(3))
    _run_next(ledger)
    assert ledger.order() == [2, 3]
    _run_next(ledger)
    assert awaited(ledger, 4) == 1
    _run_next(ledger)
    assert ledger.order() == [4]


def test_a_freed_job_with_a_time_waits_for_it() -> None:
    ledger = Ledger()
    due = ledger.now + 60
    ledger.enqueue([spec(1), spec(2, parents=[1], due=due), spec(3, parents=[1], due=1.0)])
    _run_next(ledger)
    assert ledger.job(2).phase == Scheduled(due)
    assert ledger.order() == [3]
    ledger.wait(60)
    assert ledger.order() == [2, 3]


@pytest.mark.parametrize("kind", [OutcomeKind.ERRORED, OutcomeKind.CANCELLED])
def test_a_parent_that_ends_badly_cancels_all_below(kind: OutcomeKind) -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1]), spec(3, parents=[2])])
    ledger.enqueue([spec(5), spec(4, parents=[3, 5])])
    ledger.end(ledger.lease()[0], kind, final=True)
    assert [ledger.state_of(n) for n in (2, 3, 4)] == [CANCELLED] * 3
    phase = ledger.job(3).phase
    assert isinstance(phase, Finished)
    assert phase.reason == "parent"
    assert ledger.order() == [5]
    _run_next(ledger)  # the other parent of a cancelled child changes nothing
    assert ledger.state_of(4) is CANCELLED
    assert ledger.state.children == {}
    count_up(ledger.state)


def test_cancelling_parent_and_child_together() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1])])
    assert ledger.cancel(1, 2) == [job_id(1), job_id(2)]
    assert [ledger.state_of(n) for n in (1, 2)] == [CANCELLED] * 2
    count_up(ledger.state)


def test_a_poisoned_parent_cancels_too() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1])])
    for _ in range(5):
        ledger.lease()
        ledger.lose()
    assert [ledger.state_of(n) for n in (1, 2)] == [FAILED, CANCELLED]


def test_a_retried_parent_keeps_its_children_waiting() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1])])
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    assert awaited(ledger, 2) == 1
    ledger.wait(3600)
    _run_next(ledger)
    assert ledger.order() == [2]


def test_parents_that_have_ended() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2), spec(3)])
    first, second, third = ledger.lease(3)
    ledger.settle(outcome(first), outcome(second, OutcomeKind.ERRORED, final=True))
    ledger.end(third, OutcomeKind.CANCELLED)
    ledger.enqueue([spec(4, parents=[1]), spec(5, parents=[2]), spec(6, parents=[3])])
    assert [ledger.state_of(n) for n in (4, 5, 6)] == [JobState.PENDING, CANCELLED, CANCELLED]
    count_up(ledger.state)


def test_parents_that_only_history_knows() -> None:
    ledger = Ledger()
    past = {job_id(1): COMPLETED, job_id(2): FAILED}
    ledger.enqueue([spec(3, parents=[1]), spec(4, parents=[2]), spec(5, parents=[4])], past=past)
    assert ledger.order() == [3]
    assert [ledger.state_of(n) for n in (4, 5)] == [CANCELLED] * 2
    count_up(ledger.state)


def test_an_unknown_parent_is_refused() -> None:
    ledger = Ledger()
    with pytest.raises(InvalidRequest, match=job_id(2).hex()):
        ledger.enqueue([spec(1, parents=[2]), spec(2)])  # parents come first
    assert ledger.commits == []


def test_a_known_parent_in_the_same_batch_that_ended_badly() -> None:
    """The batch is repeated with more in it, after its first job was cancelled."""
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    ledger.cancel(1)
    ledger.enqueue([spec(1), spec(2, parents=[1]), spec(3, parents=[2])])
    assert [ledger.state_of(n) for n in (2, 3)] == [CANCELLED] * 2
    count_up(ledger.state)


def test_a_known_parent_in_the_same_batch_that_completed_or_waits() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)])
    _run_next(ledger)
    ledger.enqueue([spec(1), spec(2), spec(3, parents=[1]), spec(4, parents=[2])])
    assert ledger.order() == [2, 3]
    assert awaited(ledger, 4) == 1


def test_a_redriven_parent_frees_only_those_that_came_later() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, parents=[1])])
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED, final=True)
    ledger.redrive(1)
    ledger.enqueue([spec(3, parents=[1])])
    _run_next(ledger)
    assert ledger.state_of(2) is CANCELLED
    assert ledger.order() == [3]


class CountingDict(dict):  # type: ignore[type-arg]
    reads = 0

    def get(self, key, default=None):  # type: ignore[no-untyped-def]
        CountingDict.reads += 1
        return super().get(key, default)


def test_ten_thousand_parents_of_one_job_cost_one_step_each() -> None:
    parents = list(range(1, 10_001))
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in parents])
    ledger.enqueue([spec(20_000, parents=parents)], options())
    assert awaited(ledger, 20_000) == 10_000
    grants = ledger.lease(10_000)
    ledger.state.jobs = CountingDict(ledger.state.jobs)
    CountingDict.reads = 0
    ledger.settle(*[outcome(grant) for grant in grants])
    assert CountingDict.reads <= 2 * len(parents)
    assert ledger.order() == [20_000]
    assert ledger.state.children == {}


def test_a_deep_chain_is_cancelled_without_recursion() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), *[spec(n, parents=[n - 1]) for n in range(2, 5_001)]])
    ledger.cancel(1)
    assert ledger.state.totals["q"].counts[CANCELLED] == 5_000
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_a_child_does_not_wait_for_a_dead_letter_that_is_gone() -> None:
    """Nobody can redrive it any more: purged, or known from history alone."""
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED, final=True)
    ledger.purge(1)
    ledger.enqueue([spec(2, parents=[1], on_parent_failure="wait")])
    past = {job_id(9): FAILED}
    ledger.enqueue([spec(3, parents=[9], on_parent_failure="wait")], past=past)
    assert (ledger.state_of(2), ledger.state_of(3)) == (CANCELLED, CANCELLED)
    assert facts(ledger.replayed()) == facts(ledger.state)
    count_up(ledger.state)
