"""Checkpoints in the exchange: before the outcomes, and at nobody's cost."""

from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from tests.records import job_id, outcome, save, spec
from tests.unit.engine.engine_trial import Hand, Trial


def _running() -> tuple[Trial, Hand]:
    trial = Trial()
    trial.enqueued(spec(1))
    return trial, Hand(trial)


def test_what_one_run_saves_the_next_one_gets() -> None:
    _, hand = _running()
    (grant,) = hand.exchange(want=1).grants
    assert grant.checkpoint is None
    released = outcome(grant, OutcomeKind.RELEASED)
    reply = hand.exchange(released, want=1, saves=[save(grant, 1, b"page 7")])
    assert [one.checkpoint for one in reply.grants] == [b"page 7"]


def test_one_in_an_exchange_that_was_overtaken_counts() -> None:
    trial, hand = _running()
    (grant,) = hand.exchange(want=1).grants
    hand.sequence += 1
    hand.exchange()
    hand.repeat(hand.sequence - 1, saves=[save(grant, 1, b"late")])
    trial.writer.settle()
    view = trial.engine.insights.job(job_id(1))
    assert view is not None
    assert view.checkpoint is not None
    assert view.checkpoint.size == 4


def test_alone_it_makes_no_commit_before_the_next_tick() -> None:
    trial, hand = _running()
    (grant,) = hand.exchange(want=1).grants
    held = hand.request(wait=10)
    before = len(trial.writer.durable)
    for number in (1, 2, 3):
        asked = hand.request(wait=10, saves=[save(grant, number)])
        if number == 1:
            assert not held.empty, "a held call is answered at once: nothing stands in its way"
            assert not trial.writer.held
        trial.pass_time(0.1)
    assert asked.empty
    assert len(trial.writer.durable) == before + 3, "one a tick, however many it had"


def test_it_is_durable_when_its_exchange_is_answered() -> None:
    trial, hand = _running()
    (grant,) = hand.exchange(want=1).grants
    saved = hand.request(wait=10, saves=[save(grant)])
    hand.request(wait=10)
    assert saved.answers == []
    trial.writer.settle()
    assert len(saved.answers) == 1
    assert trial.replayed().jobs[job_id(1)].checkpoint == trial.state.jobs[job_id(1)].checkpoint


def test_a_completion_drops_what_came_with_it() -> None:
    trial, hand = _running()
    (grant,) = hand.exchange(want=1).grants
    hand.exchange(outcome(grant), saves=[save(grant)])
    view = trial.engine.insights.job(job_id(1))
    assert view is not None
    assert (view.state, view.checkpoint) == (JobState.COMPLETED, None)
