"""The engine purges dead letters by itself, in bounded portions."""

import pytest

from taskqueue_ray.core import upkeep
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Configure
from taskqueue_ray.core.errors import StorageFull
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.retention import KEEP, Retention
from taskqueue_ray.engine import retiring
from tests.ledger import facts
from tests.records import job_id, outcome, spec
from tests.unit.engine.engine_trial import Box, Hand, Trial

TERM = 3600.0


def _trial(jobs: int, retention: Retention) -> Trial:
    trial = Trial(bounds=Bounds(retention=retention))
    trial.enqueued(*(spec(n) for n in range(1, jobs + 1)))
    hand = Hand(trial)
    for _ in range(jobs):
        (grant,) = hand.exchange(want=1).grants
        hand.exchange(outcome(grant, OutcomeKind.ERRORED, final=True))
    return trial


def _tick(trial: Trial, seconds: float = 0.0) -> int:
    """How many dead letters are left."""
    trial.clock.at += seconds
    trial.engine.tick()
    trial.writer.settle()
    return len(trial.state.jobs)


def test_time_purges_them_and_a_restart_knows() -> None:
    trial = _trial(2, Retention(failed=TERM))
    assert _tick(trial, TERM - 1) == 2
    assert _tick(trial, retiring.PAUSE) == 0
    assert facts(trial.replayed()) == facts(trial.state)
    assert trial.engine.insights.job(job_id(1)) is None


def test_portions_follow_each_other_at_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PORTION", 2)
    monkeypatch.setattr(retiring, "PORTION", 2)
    trial = _trial(5, Retention(failed=TERM))
    assert [_tick(trial, TERM), _tick(trial), _tick(trial)] == [3, 1, 0]


def test_it_does_not_look_at_every_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = _trial(1, Retention(failed=TERM))
    assert _tick(trial, TERM - 1) == 1
    assert _tick(trial, 2) == 1
    assert _tick(trial, retiring.PAUSE) == 0


def test_what_a_queue_is_told_counts_from_then_on() -> None:
    trial = _trial(1, KEEP)
    assert _tick(trial, TERM) == 1
    trial.engine.control(Configure("q", retention=Retention(failed=60.0)), Box())
    assert _tick(trial, retiring.PAUSE) == 0
    assert [one.queue for one in trial.engine.horizons()] == ["q"]


def test_a_disk_without_room_is_not_written_to() -> None:
    trial = _trial(1, Retention(failed=TERM))
    trial.enqueue(spec(2))
    trial.writer.fail(StorageFull("/q"))
    assert trial.engine.commits.stalled
    trial.engine.retiring.tick(trial.clock.at + 2 * TERM)
    assert len(trial.state.jobs) == 2
    assert _tick(trial, 2 * TERM) == 1
