"""Checkpoints: whose counts, which is the latest, and how long it is kept."""

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.exchange import Grant, OutcomeKind, Save
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Checkpoint, Options
from tests.ledger import Ledger, facts
from tests.records import options, outcome, save, spec, worker

ONCE = options(max_attempts=1)


def _leased(shared: Options | None = None) -> tuple[Ledger, Grant]:
    ledger = Ledger()
    ledger.enqueue([spec(1)], *([shared] if shared else []))
    (grant,) = ledger.lease()
    return ledger, grant


def _again(ledger: Ledger) -> Grant:
    ledger.wait(3600)
    (grant,) = ledger.lease()
    return grant


def _kept(ledger: Ledger) -> bytes | None:
    kept = ledger.job(1).checkpoint
    return None if kept is None else kept.sealed


def test_the_holder_of_the_lease_may_save() -> None:
    ledger, grant = _leased()
    ledger.now += 5
    ledger.checkpoint(save(grant, 3, b"page 7"))
    assert ledger.job(1).checkpoint == Checkpoint(ledger.now, grant.delivery, 3, b"page 7")
    assert ledger.job(1).state is JobState.PROCESSING


def test_nobody_else_may() -> None:
    ledger, first = _leased()
    ledger.checkpoint(save(first, 1, b"first"))
    ledger.lose()
    second = _again(ledger)
    commits = len(ledger.commits)
    strangers: list[tuple[str, Save]] = [
        ("w", save(first, 9, b"stale")),
        ("w", save(first, 9, b"of another delivery", lease=second.lease)),
        ("w", save(second, 9, b"of another lease", lease=first.lease)),
        ("other", save(second, 9, b"of another worker")),
    ]
    for by, late in strangers:
        ledger.checkpoint(late, by=by)
    assert _kept(ledger) == b"first"
    assert len(ledger.commits) == commits, "what is refused is no event"
    ledger.checkpoint(save(second, 1, b"second"))
    assert _kept(ledger) == b"second", "each run counts from its beginning"


def test_one_that_came_late_does_not_undo_a_later_one() -> None:
    ledger, grant = _leased()
    ledger.checkpoint(save(grant, 2, b"two"))
    for number, sealed in ((1, b"one"), (2, b"two again")):
        ledger.checkpoint(save(grant, number, sealed))
        assert _kept(ledger) == b"two"
    ledger.checkpoint(save(grant, 5, b"five"), save(grant, 4, b"four"))
    assert _kept(ledger) == b"five"


WAYS_BACK = [
    (OutcomeKind.ERRORED, {}),
    (OutcomeKind.RELEASED, {}),
    (OutcomeKind.SNOOZED, {"due": 1_800_000_100.0}),
]


@pytest.mark.parametrize(("kind", "given"), WAYS_BACK)
def test_it_is_there_for_the_next_run(kind: OutcomeKind, given: dict[str, float]) -> None:
    ledger, grant = _leased()
    ledger.checkpoint(save(grant))
    ledger.end(grant, kind, **given)
    _again(ledger)
    assert _kept(ledger) == b"sealed"


def test_it_survives_a_lost_worker_and_one_that_gave_the_lease_back() -> None:
    ledger, grant = _leased()
    ledger.checkpoint(save(grant))
    ledger.start(grant)
    ledger.lose()
    assert _kept(ledger) == b"sealed"
    again = _again(ledger)
    ledger.do(commands.Release("w", [again.id]))
    assert _kept(ledger) == b"sealed"


def test_it_goes_with_the_end_of_its_job() -> None:
    ledger, grant = _leased()
    ledger.checkpoint(save(grant))
    ledger.end(grant)
    assert (ledger.job(1).state, _kept(ledger)) == (JobState.COMPLETED, None)
    ledger, grant = _leased()
    ledger.checkpoint(save(grant))
    ledger.end(grant, OutcomeKind.CANCELLED)
    assert (ledger.job(1).state, _kept(ledger)) == (JobState.CANCELLED, None)


def test_a_dead_letter_keeps_it_for_its_redrive() -> None:
    ledger, grant = _leased(ONCE)
    ledger.checkpoint(save(grant))
    ledger.end(grant, OutcomeKind.ERRORED)
    assert (ledger.job(1).state, _kept(ledger)) == (JobState.FAILED, b"sealed")
    ledger.redrive(1)
    _again(ledger)
    assert _kept(ledger) == b"sealed"


def test_after_the_end_nothing_can_be_saved() -> None:
    ledger, grant = _leased()
    ledger.end(grant)
    ledger.checkpoint(save(grant))
    assert _kept(ledger) is None


def test_large_ones_count_for_the_size_of_a_lease() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in (1, 2, 3)])
    grants = ledger.lease(3)
    ledger.checkpoint(*[save(grant, 1, bytes(1000)) for grant in grants])
    ledger.settle(*[outcome(grant, OutcomeKind.RELEASED) for grant in grants])
    ledger.do(commands.Lease(worker(), 3, max_bytes=2500))
    assert len(ledger.state.held["w"]) == 2


def test_a_replay_has_it() -> None:
    ledger, grant = _leased()
    ledger.checkpoint(save(grant))
    assert facts(ledger.replayed()) == facts(ledger.state)
