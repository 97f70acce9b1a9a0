"""Every state meets every verb: the queue makes a move of the table, or none at all."""

from collections.abc import Callable

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.exchange import Grant, OutcomeKind
from taskqueue_ray.core.lifecycle import (
    EXPIRE,
    FINAL,
    LIVE,
    MOVES,
    IllegalMove,
    JobState,
    Move,
    Verb,
    can,
    find_move,
)
from taskqueue_ray.core.model import Finished
from tests.ledger import Ledger, count_up, lease_of
from tests.records import job_id, options, outcome, spec

JOB, PARENT = 1, 2
GONE = Grant(job_id(JOB), 0, 0, 1, 0, b"")

Setting = tuple[Ledger, Grant]
"""A queue with the job in some state, and the token of its latest lease."""


def _new() -> Setting:
    return Ledger(), GONE


def _pending() -> Setting:
    ledger = Ledger()
    ledger.enqueue([spec(JOB)])
    return ledger, GONE


def _scheduled() -> Setting:
    ledger = Ledger()
    ledger.enqueue([spec(JOB, due=ledger.now + 10)])
    return ledger, GONE


def _blocked() -> Setting:
    ledger = Ledger()
    ledger.enqueue([spec(PARENT), spec(JOB, parents=[PARENT])])
    return ledger, GONE


def _blocked_with_a_time() -> Setting:
    ledger = Ledger()
    ledger.enqueue([spec(PARENT), spec(JOB, parents=[PARENT], due=ledger.now + 10)])
    return ledger, GONE


def _blocked_by_its_own_wish() -> Setting:
    ledger, grant = _processing()
    ledger.enqueue([spec(PARENT)])
    ledger.end(grant, OutcomeKind.WAITING, awaited=(job_id(PARENT),))
    return ledger, grant


def _processing() -> Setting:
    ledger, _ = _pending()
    return ledger, ledger.lease()[0]


def _cancelling() -> Setting:
    ledger, grant = _processing()
    ledger.cancel(JOB)
    return ledger, grant


def _ended(kind: OutcomeKind, **given: bool) -> Setting:
    ledger, grant = _processing()
    ledger.end(grant, kind, **given)
    return ledger, grant


def _expired() -> Setting:
    ledger, _ = _pending()
    ledger.state.finish(ledger.job(JOB), EXPIRE, Finished(JobState.EXPIRED, ledger.now))
    return ledger, GONE


SETTINGS: dict[str, Callable[[], Setting]] = {
    "new": _new,
    "pending": _pending,
    "scheduled": _scheduled,
    "blocked": _blocked,
    "blocked, with a time": _blocked_with_a_time,
    "blocked, by its own wish": _blocked_by_its_own_wish,
    "processing": _processing,
    "processing, to be cancelled": _cancelling,
    "completed": lambda: _ended(OutcomeKind.COMPLETED),
    "failed": lambda: _ended(OutcomeKind.ERRORED, final=True),
    "cancelled": lambda: _ended(OutcomeKind.CANCELLED),
    "expired": _expired,
}

Way = Callable[[Ledger, Grant], object]


def _settle(kind: OutcomeKind, **given: float) -> Way:
    def way(ledger: Ledger, grant: Grant) -> object:
        return ledger.settle(outcome(grant, kind, **given))

    return way


def _lease(ledger: Ledger, _: Grant) -> object:
    # The parent is out of the way, so that this is about the job alone.
    if ledger.state_of(PARENT) is JobState.PENDING:
        ledger.lease()
    return ledger.lease(5)


def _await(end: OutcomeKind | None) -> Way:
    """It asks to wait for a job that is open (None), or that has ended so."""

    def way(ledger: Ledger, grant: Grant) -> object:
        if ledger.state_of(PARENT) is None:
            ledger.enqueue([spec(PARENT)], options(priority=9))
            if end is not None:
                ledger.end(ledger.lease()[0], end, final=True)
        made = outcome(grant, OutcomeKind.WAITING, awaited=(job_id(PARENT),))
        return ledger.settle(made) if grant is not GONE else None

    return way


def _parent_ends(kind: OutcomeKind) -> Way:
    def way(ledger: Ledger, _: Grant) -> object:
        if ledger.state_of(PARENT) is JobState.PENDING:
            ledger.end(ledger.lease()[0], kind, final=True)
        return None

    return way


WAYS: dict[Verb, list[Way]] = {
    Verb.ENQUEUE: [
        lambda ledger, _: ledger.enqueue([spec(JOB)]),
        lambda ledger, _: ledger.enqueue([spec(JOB, due=ledger.now + 10)]),
        lambda ledger, _: ledger.enqueue([spec(PARENT), spec(JOB, parents=[PARENT])]),
    ],
    Verb.PROMOTE: [lambda ledger, _: ledger.wait(10), _parent_ends(OutcomeKind.COMPLETED)],
    Verb.LEASE: [_lease],
    Verb.COMPLETE: [_settle(OutcomeKind.COMPLETED)],
    Verb.RETRY: [_settle(OutcomeKind.ERRORED)],
    Verb.FAIL: [_settle(OutcomeKind.ERRORED, final=True)],
    Verb.RELEASE: [
        _settle(OutcomeKind.RELEASED),
        lambda ledger, _: ledger.do(commands.Release("w", [job_id(JOB)])),
        lambda ledger, _: ledger.lose(),
    ],
    Verb.SNOOZE: [_settle(OutcomeKind.SNOOZED, due=2e9), _settle(OutcomeKind.SNOOZED)],
    Verb.AWAIT: [_await(None), _await(OutcomeKind.COMPLETED)],
    Verb.CANCEL: [
        _await(OutcomeKind.ERRORED),
        lambda ledger, _: ledger.cancel(JOB),
        _settle(OutcomeKind.CANCELLED),
        _parent_ends(OutcomeKind.ERRORED),
    ],
    Verb.REDRIVE: [lambda ledger, _: ledger.redrive(JOB)],
    Verb.PURGE: [lambda ledger, _: ledger.purge(JOB)],
}
TO_COME = {Verb.EXPIRE}
"""In the table and not yet to be asked for."""

FLAGGED = {
    (Verb.RETRY, JobState.CANCELLED),
    (Verb.FAIL, JobState.CANCELLED),
    (Verb.RELEASE, JobState.CANCELLED),
    (Verb.SNOOZE, JobState.CANCELLED),
    (Verb.AWAIT, JobState.CANCELLED),
}
"""What these verbs come to for a job that was to be cancelled: the move is `cancel`."""


def _observe(verb: Verb, name: str, way: Way) -> tuple[JobState | None, Verb, JobState | None]:
    ledger, grant = SETTINGS[name]()
    before = _present(ledger)
    way(ledger, grant)
    count_up(ledger.state)
    after = _present(ledger)
    if "to be cancelled" in name and (verb, after) in FLAGGED:
        verb = Verb.CANCEL
    return before, verb, after


def _present(ledger: Ledger) -> JobState | None:
    """The state of a job whose record is there."""
    found = ledger.state.jobs.get(job_id(JOB)) or ledger.state.settled.get(job_id(JOB))
    return found.state if found is not None and hasattr(found, "payload") else None


CASES = [(verb, name, way) for verb, ways in WAYS.items() for way in ways for name in SETTINGS]


@pytest.mark.parametrize(("verb", "name", "way"), CASES)
def test_a_verb_makes_a_listed_move_or_none(verb: Verb, name: str, way: Way) -> None:
    before, verb, after = _observe(verb, name, way)
    if after is not before:
        find_move(before, verb, after)


def test_every_move_of_the_table_is_made() -> None:
    made = {_observe(*case) for case in CASES}
    listed = {(move.source, move.verb, move.target) for move in MOVES if move.verb not in TO_COME}
    assert listed - made == set()


def test_each_verb_is_tried_or_to_come() -> None:
    assert set(WAYS) | TO_COME == set(Verb)


def test_final_states_are_left_by_redrive_and_purge_only() -> None:
    leaving = {move.verb for move in MOVES if move.source in FINAL}
    assert leaving == {Verb.REDRIVE, Verb.PURGE}
    assert set(LIVE) | FINAL == set(JobState)
    assert all(state.final == (state in FINAL) for state in JobState)


@pytest.mark.parametrize("move", MOVES)
def test_the_table_answers_for_its_rows(move: Move) -> None:
    assert find_move(*move[:3]) is move
    assert can(move.source, move.verb)


def test_a_move_that_is_not_listed_stops_the_caller() -> None:
    with pytest.raises(IllegalMove, match="completed --lease--> processing"):
        find_move(JobState.COMPLETED, Verb.LEASE, JobState.PROCESSING)
    assert not can(JobState.COMPLETED, Verb.LEASE)


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled() -> None:
    ledger, _ = _cancelling()
    ledger.lose()
    assert ledger.state_of(JOB) is JobState.CANCELLED


def test_a_completion_wins_over_a_cancellation() -> None:
    ledger, grant = _cancelling()
    ledger.end(grant)
    assert ledger.state_of(JOB) is JobState.COMPLETED


def test_a_lease_is_only_in_processing_and_a_finish_time_only_in_final_states() -> None:
    for make in SETTINGS.values():
        ledger, _ = make()
        for job in ledger.state.jobs.values():
            assert (lease_of(job) > 0) == (
                job.state is JobState.PROCESSING
            ) or job.state is JobState.FAILED
            assert hasattr(job.phase, "seconds") == job.state.final


def test_options_say_what_a_worker_must_be_able_to_do() -> None:
    assert options(executor="async", key="k", python="3.12").lane == ("async", "k", "3.12")
