"""Clients wait for jobs to end."""

import pytest

from taskqueue_ray.core.commands import Cancel
from taskqueue_ray.core.errors import UnknownSession
from taskqueue_ray.core.exchange import Ended, OutcomeKind, WatchReply
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Settled
from taskqueue_ray.engine.fleet import CLIENT_TERM
from tests.records import BROKE, job_id, options, outcome, spec
from tests.unit.engine.engine_trial import Hand, Trial

COMPLETED = JobState.COMPLETED


def _run(trial: Trial, kind: OutcomeKind = OutcomeKind.COMPLETED) -> None:
    """The next job ends so."""
    hand = Hand(trial, f"hand{len(trial.writer.durable)}")
    (grant,) = hand.exchange(want=1).grants
    hand.exchange(outcome(grant, kind, final=True))


def test_a_job_that_has_ended_is_told_at_once() -> None:
    trial = Trial()
    trial.enqueued(spec(1), shared=options(type="reports.build"))
    _run(trial)
    box = trial.watch(1, job_id(1), reset=True, wait=10)
    (ended,) = box.answer.ended
    assert ended == Ended(job_id(1), COMPLETED, True, b"result", "", 1, None, "reports.build")


def test_a_failure_is_told_with_its_reason() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    _run(trial, OutcomeKind.ERRORED)
    (ended,) = trial.watch(1, job_id(1), reset=True).answer.ended
    assert (ended.state, ended.reason, ended.failure) == (JobState.FAILED, "final", BROKE)


def test_a_call_is_held_until_a_job_ends() -> None:
    trial = Trial()
    trial.enqueued(spec(1), spec(2))
    box = trial.watch(1, job_id(1), job_id(2), reset=True, wait=10)
    assert box.empty
    _run(trial)
    assert [one.id for one in box.answer.ended] == [job_id(1)]
    later = trial.watch(2, wait=10)
    _run(trial)
    assert [one.id for one in later.answer.ended] == [job_id(2)]


def test_what_ends_between_two_calls_is_told_by_the_next() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    assert trial.watched(1, job_id(1), reset=True) == []
    _run(trial)
    assert trial.watched(2, wait=10) == [(job_id(1), COMPLETED)]


def test_a_hold_ends_when_its_time_is_up() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    box = trial.watch(1, job_id(1), reset=True, wait=10)
    trial.pass_time(10)
    assert box.answer == WatchReply(1, [])
    _run(trial)
    assert trial.watched(2) == [(job_id(1), COMPLETED)]


def test_a_newer_call_ends_the_held_one() -> None:
    trial = Trial()
    trial.enqueued(spec(1), spec(2))
    first = trial.watch(1, job_id(1), reset=True, wait=10)
    second = trial.watch(2, job_id(2), wait=10)
    assert first.answer == WatchReply(1, [])
    _run(trial)
    assert [one.id for one in second.answer.ended] == [job_id(1)]


def test_a_call_that_was_overtaken_is_not_held_and_not_ignored() -> None:
    trial = Trial()
    trial.enqueued(spec(1), spec(2))
    _run(trial)
    newer = trial.watch(5, reset=True, wait=10)
    older = trial.watch(4, job_id(1), job_id(2), wait=10)
    assert [one.id for one in older.answer.ended] == [job_id(1)]
    assert newer.empty
    _run(trial)
    assert [one.id for one in newer.answer.ended] == [job_id(2)]


def test_a_reset_begins_anew() -> None:
    trial = Trial()
    trial.enqueued(spec(1), spec(2))
    held = trial.watch(1, job_id(1), reset=True, wait=10)
    fresh = trial.watch(2, job_id(2), reset=True, wait=10)
    assert held.answer == WatchReply(1, [])
    _run(trial)
    assert fresh.empty  # job 1 is no longer watched
    _run(trial)
    assert [one.id for one in fresh.answer.ended] == [job_id(2)]


def test_an_unknown_client_must_begin_anew() -> None:
    """After a restart of the queue nobody would tell it what it waits for."""
    trial = Trial()
    trial.enqueued(spec(1))
    assert isinstance(trial.watch(7, wait=10).answer, UnknownSession)
    assert trial.watched(8, job_id(1), reset=True) == []


def test_a_client_that_went_away_is_forgotten() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    trial.watched(1, job_id(1), reset=True)
    trial.pass_time(CLIENT_TERM - 1)
    assert trial.engine.fleet.clients
    trial.pass_time(1)
    assert not trial.engine.watching.any
    assert trial.engine.fleet.clients == {}
    _run(trial)
    assert isinstance(trial.watch(2).answer, UnknownSession)


def test_two_clients_wait_for_one_job() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    boxes = [trial.watch(1, job_id(1), reset=True, wait=10, client=name) for name in "ab"]
    _run(trial)
    assert [box.answer.ended[0].id for box in boxes] == [job_id(1)] * 2
    assert not trial.engine.watching.any


def test_a_job_that_left_memory_is_told_without_its_result() -> None:
    trial = Trial()
    trial.state.settled[job_id(1)] = Settled(COMPLETED, 1.0, 1, 1)
    ended = trial.watch(1, job_id(1), job_id(2), reset=True).answer.ended
    assert ended == [
        Ended(job_id(1), COMPLETED, known=False),
        Ended(job_id(2), None, known=False),
    ]


@pytest.mark.parametrize("parents", [[1], [1, 2]])
def test_children_that_end_with_their_parent_are_told_too(parents: list[int]) -> None:
    trial = Trial()
    trial.enqueued(spec(1), spec(2), spec(3, parents=parents), spec(4, parents=[3]))
    box = trial.watch(1, job_id(3), job_id(4), reset=True, wait=10)
    trial.command(Cancel, "c", job_id(1))
    trial.writer.settle()
    assert {one.id: one.reason for one in box.answer.ended} == {
        job_id(3): "parent",
        job_id(4): "parent",
    }
