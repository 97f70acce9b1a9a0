"""Claim keys: who holds one, for how long, and what becomes of another that wants it."""

import pytest

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Fold
from taskqueue_ray.core.errors import DuplicateJob, InvalidRequest, QueueFull
from taskqueue_ray.core.events import Folded, Marked
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Claim, Input, JobSpec
from tests.ledger import Ledger, count_up, facts
from tests.records import job_id, spec


def claim(
    number: int, mode: str = "return_existing", within: float = 0.0, **more: object
) -> JobSpec:
    """A job that wants the key."""
    return spec(number, unique=Claim("key", within, mode), **more)  # type: ignore[arg-type]


def test_the_second_is_told_of_the_first() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    reply = ledger.enqueue([spec(2), claim(3)])
    assert (reply.accepted, reply.existing, reply.known) == (1, {1: job_id(1)}, [])
    assert ledger.order() == [1, 2]
    count_up(ledger.state)


def test_a_repeat_is_no_conflict_with_itself() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1, "raise")])
    reply = ledger.enqueue([claim(1, "raise")])
    assert (reply.known, reply.existing) == ([0], {})


def test_dropped_jobs_are_named() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    reply = ledger.enqueue([claim(2, "drop"), spec(3)])
    assert (reply.accepted, reply.dropped, reply.existing) == (1, [0], {})
    assert ledger.state_of(2) is None


def test_raise_refuses_the_whole_batch_and_stores_nothing() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    with pytest.raises(DuplicateJob, match="key") as caught:
        ledger.enqueue([spec(2), claim(3, "raise")])
    assert caught.value.fields["job_id"] == job_id(1).hex()
    assert ledger.order() == [1]


@pytest.mark.parametrize("state", ["pending", "scheduled", "blocked"])
def test_replace_cancels_the_one_that_waits(state: str) -> None:
    ledger = Ledger()
    ledger.enqueue([spec(9)])
    extra = {"pending": {}, "scheduled": {"due": ledger.now + 60}, "blocked": {"parents": [9]}}
    ledger.enqueue([claim(1, **extra[state])])  # type: ignore[arg-type]
    assert ledger.state_of(1) == state
    reply = ledger.enqueue([claim(2, "replace")])
    assert reply.accepted == 1
    assert ledger.job(1).state is JobState.CANCELLED
    assert getattr(ledger.job(1).phase, "reason", "") == "replaced"
    assert ledger.enqueue([claim(3)]).existing == {0: job_id(2)}
    count_up(ledger.state)


def test_replace_leaves_the_one_that_runs() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    ledger.lease()
    assert ledger.enqueue([claim(2, "replace")]).existing == {0: job_id(1)}
    assert ledger.state_of(2) is None


def test_within_a_batch_the_first_has_the_key_or_the_last_that_replaces() -> None:
    ledger = Ledger()
    reply = ledger.enqueue([claim(1), claim(2), claim(3, "drop")])
    assert (reply.existing, reply.dropped) == ({1: job_id(1)}, [2])
    other = Ledger()
    reply = other.enqueue([claim(1), claim(2), claim(3, "replace"), claim(4, "replace")])
    assert reply.existing == {0: job_id(4), 1: job_id(4), 2: job_id(4)}
    assert other.order() == [4]


@pytest.mark.parametrize("kind", [OutcomeKind.COMPLETED, OutcomeKind.CANCELLED])
def test_the_end_frees_the_key(kind: OutcomeKind) -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    grant = ledger.lease()[0]
    assert ledger.enqueue([claim(2)]).existing
    ledger.end(grant, kind)
    assert ledger.enqueue([claim(2)]).accepted == 1


def test_a_failed_attempt_keeps_the_key_and_the_last_one_frees_it() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    assert ledger.enqueue([claim(2)]).existing
    ledger.wait(3600)
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED, final=True)
    assert ledger.enqueue([claim(2)]).accepted == 1


def test_a_window_outlives_the_job_and_ends_by_itself() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1, within=60)])
    ledger.end(ledger.lease()[0])
    ledger.now += 59.9
    assert ledger.enqueue([claim(2, within=60)]).existing == {0: job_id(1)}
    ledger.now += 0.1
    assert ledger.enqueue([claim(2, within=60)]).accepted == 1
    ledger.now += 30
    assert ledger.enqueue([claim(3)]).existing == {0: job_id(2)}


def test_windows_that_are_over_are_forgotten_with_a_fold() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1, within=60)])
    ledger.end(ledger.lease()[0])
    ledger.now += 61
    commit = len(ledger.commits) + 1
    ledger.record([Marked(commit)])
    ledger.enqueue([spec(5)])
    ledger.do(Fold(commit))
    assert ledger.state.unique  # memory reaches back for a day
    ledger.record([Folded(commit, ledger.now)])
    assert ledger.state.unique == {}


def test_a_dead_letter_whose_key_another_has_is_not_redriven() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED, final=True)
    ledger.enqueue([claim(2)])
    assert ledger.redrive(1) == []
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED, final=True)
    assert ledger.redrive(1, 2) == [job_id(1)]
    assert ledger.enqueue([claim(3)]).existing == {0: job_id(1)}


def test_keys_survive_a_replay() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    ledger.enqueue([claim(2, "replace")])
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_an_empty_or_endless_key_is_refused() -> None:
    ledger = Ledger()
    for key in ("", "k" * 201):
        with pytest.raises(InvalidRequest, match="key"):
            ledger.enqueue([spec(1, unique=Claim(key))])
    with pytest.raises(InvalidRequest, match="time"):
        ledger.enqueue([spec(1, unique=Claim("k", float("nan")))])


def test_who_depends_on_a_duplicate_of_its_batch_depends_on_the_one_that_is_there() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    child = spec(3, parents=[2], inputs=(Input("x", (job_id(2),)),))
    ledger.enqueue([claim(2), child])
    for state in (ledger.state, ledger.replayed()):
        job = state.jobs[job_id(3)]
        assert job.parents == (job_id(1),)
        assert job.conditions.inputs[0].ids == (job_id(1),)
        assert job.state is JobState.BLOCKED
    ledger.end(ledger.lease()[0])
    assert ledger.order() == [3]


def test_who_depends_on_a_job_that_was_dropped_is_refused() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    with pytest.raises(InvalidRequest, match="does not know"):
        ledger.enqueue([claim(2, "drop"), spec(3, parents=[2])])


def test_what_depends_on_a_child_of_a_replaced_job_is_cancelled_with_it() -> None:
    ledger = Ledger()
    ledger.enqueue([claim(1)])
    ledger.enqueue([spec(2, parents=[1])])
    ledger.enqueue([claim(3, "replace"), spec(4, parents=[2]), spec(5, parents=[4]), spec(6)])
    states = [ledger.state_of(n) for n in (1, 2, 4, 5)]
    assert states == [JobState.CANCELLED] * 4
    assert ledger.order() == [3, 6]
    count_up(ledger.state)
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_replacing_a_job_of_a_full_queue_makes_it_no_fuller() -> None:
    ledger = Ledger(Bounds(max_depth=1))
    ledger.enqueue([claim(1)])
    assert ledger.enqueue([claim(2, "replace")]).accepted == 1
    with pytest.raises(QueueFull):
        ledger.enqueue([spec(3)])
