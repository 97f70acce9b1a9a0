"""Checkpoints in a worker: with an outcome goes all that its run has saved."""

from taskqueue_ray.cluster.saving import Saving
from taskqueue_ray.core.exchange import Grant, OutcomeKind, Save
from tests.records import job_id, outcome, save

MOST = 1000


def _grant(number: int) -> Grant:
    return Grant(job_id(number), 1, 1, 1, 0, b"")


def _save(number: int, count: int = 1, size: int = 10) -> Save:
    return save(_grant(number), count, bytes(size))


def _failed(number: int) -> object:
    return outcome(_grant(number), OutcomeKind.ERRORED)


def test_the_latest_of_each_job_goes_once() -> None:
    saving = Saving()
    saving.add([_save(1, 1), _save(2, 2)])
    saving.add([_save(1, 3)])
    assert saving.take(1, [], MOST) == [_save(1, 3), _save(2, 2)]
    assert not saving
    assert saving.take(2, [], MOST) == []


def test_an_outcome_takes_along_what_is_in_a_call_without_an_answer() -> None:
    saving = Saving()
    saving.add([_save(1), _save(2)])
    saving.take(1, [], MOST)
    assert saving.take(2, [_failed(1)], MOST) == [_save(1)]  # type: ignore[list-item]
    saving.answered(1)
    saving.answered(2)
    assert saving.take(3, [_failed(1)], MOST) == []  # type: ignore[list-item]


def test_large_ones_go_one_by_one_but_with_their_outcome() -> None:
    saving = Saving()
    saving.add([_save(n, n, 900) for n in (1, 2, 3)])
    assert saving.take(1, [_failed(3)], MOST) == [_save(1, 1, 900), _save(3, 3, 900)]  # type: ignore[list-item]
    assert saving
    assert saving.take(2, [], 10) == [_save(2, 2, 900)]


def test_what_completed_needs_none() -> None:
    saving = Saving()
    saving.add([_save(1)])
    assert saving.take(1, [outcome(_grant(1))], MOST) == []
    assert not saving


def test_a_run_under_a_lease_that_is_over_takes_nothing_from_a_later_one() -> None:
    """Answers overtake each other, and so do grants of the same job."""
    later = save(_grant(1), 5, b"later", delivery=3)
    saving = Saving()
    saving.add([later])
    saving.add([save(_grant(1), 1, b"overtaken", delivery=2)])
    assert saving.take(1, [outcome(_grant(1))], MOST) == [later]
