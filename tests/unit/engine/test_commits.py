"""Group commit: nothing is said that a crash could undo."""

import pytest

from taskqueue_ray.core.commands import Cancel
from taskqueue_ray.core.errors import (
    CommitUnknown,
    InvalidRequest,
    QueueClosed,
    StorageFull,
    TaskQueueError,
)
from taskqueue_ray.core.events import Enqueued, Marked, decode
from taskqueue_ray.core.exchange import EnqueueReply, OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from tests.ledger import facts
from tests.records import job_id, outcome, raw_batch, spec
from tests.unit.engine.engine_trial import Box, Hand, Trial

UNKNOWN = CommitUnknown("fsync failed")


def test_an_answer_waits_for_its_commit() -> None:
    trial = Trial()
    box = trial.enqueue(spec(1))
    assert box.empty
    trial.writer.commit()
    assert box.answer == EnqueueReply(1, [])


def test_what_comes_during_a_commit_forms_the_next_one() -> None:
    trial = Trial()
    boxes = [trial.enqueue(spec(n)) for n in (1, 2, 3)]
    trial.writer.commit()
    assert [box.empty for box in boxes] == [False, True, True]
    trial.writer.commit()
    assert not any(box.empty for box in boxes)
    assert trial.writer.held == []
    assert len(decode(trial.writer.durable[-1])) == 2


def test_a_repeat_waits_for_the_commit_that_it_repeats() -> None:
    trial = Trial()
    first, again = trial.enqueue(spec(1)), trial.enqueue(spec(1))
    assert again.empty
    trial.writer.commit()
    assert first.answer == EnqueueReply(1, [])
    assert again.answer == EnqueueReply(0, [0])


def test_a_repeat_of_what_waits_for_the_next_commit_waits_with_it() -> None:
    trial = Trial()
    trial.enqueue(spec(1))
    second, again = trial.enqueue(spec(2)), trial.enqueue(spec(2))
    trial.writer.commit()
    assert second.empty
    assert again.empty
    trial.writer.commit()
    assert again.answer == EnqueueReply(0, [0])


def test_a_refusal_waits_too() -> None:
    trial = Trial()
    trial.enqueue(spec(1))
    boxes = [trial.enqueue(spec(2, parents=[99])), Box()]
    trial.engine.enqueue(b"garbage", boxes[1])
    assert all(box.empty for box in boxes)
    trial.writer.commit()
    assert all(isinstance(box.answer, InvalidRequest) for box in boxes)


def test_with_nothing_to_commit_the_answer_is_there() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    assert trial.enqueue(spec(1)).answer == EnqueueReply(0, [0])


def test_a_reader_of_stored_code_and_a_registration_wait() -> None:
    trial = Trial()
    trial.enqueue(spec(1))
    box = Box()
    trial.engine.code("hash", box)
    assert box.empty
    trial.writer.commit()
    assert box.answer is None


def test_grants_wait_for_the_commit_of_their_lease() -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(spec(1))
    box = hand.request(want=1)
    assert box.empty
    trial.writer.commit()
    assert [grant.id for grant in box.answer.grants] == [job_id(1)]


def test_the_end_of_a_job_is_told_after_its_commit() -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(spec(1))
    (grant,) = hand.exchange(want=1).grants
    watcher = trial.watch(1, job_id(1), reset=True, wait=10)
    hand.request(outcome(grant))
    late = trial.watch(1, job_id(1), reset=True, client="d")
    assert watcher.empty
    assert late.empty
    trial.writer.commit()
    assert [one.state for one in watcher.answer.ended] == [JobState.COMPLETED]
    assert [one.state for one in late.answer.ended] == [JobState.COMPLETED]


def test_a_failed_commit_fails_everyone_and_ends_the_engine() -> None:
    trial = Trial()
    hand = Hand(trial)
    held = hand.request(wait=10)
    watcher = trial.watch(1, job_id(9), reset=True, wait=10)
    flying, waiting = trial.enqueue(spec(1)), trial.enqueue(spec(2))
    trial.writer.fail(UNKNOWN)
    assert flying.answer is UNKNOWN
    assert waiting.answer is UNKNOWN
    assert held.answer is UNKNOWN
    assert not watcher.empty
    assert trial.broken == [UNKNOWN]
    # Whatever comes later gets the same answer, and nothing is written any more.
    assert trial.enqueue(spec(3)).answer is UNKNOWN
    assert trial.enqueue(spec(1)).answer is UNKNOWN
    trial.engine.tick()
    assert trial.writer.held == []
    assert len(trial.broken) == 1


def test_a_full_disk_stalls_and_heals() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    hand = Hand(trial)
    (grant,) = hand.exchange(want=1).grants
    box = hand.request(outcome(grant))
    trial.writer.fail(StorageFull("here"))
    assert box.empty  # the outcome is not lost, it waits
    stalled = trial.engine.commits.stalled
    assert stalled
    refused = trial.enqueue(spec(2))
    assert refused.empty
    trial.engine.tick()
    assert trial.writer.held[0][0] == trial.writer.refusals[0]  # the same frame again
    trial.writer.settle()
    assert box.answer.stale == []
    assert isinstance(refused.answer, StorageFull)
    assert not trial.engine.commits.stalled
    assert trial.enqueued(spec(2)) == EnqueueReply(1, [])
    assert facts(trial.replayed()) == facts(trial.state)


def test_with_little_space_outcomes_go_on_and_new_jobs_are_refused() -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueued(spec(1), spec(2))
    (grant,) = hand.exchange(want=1).grants
    trial.writer.low_space = True
    hand.exchange(outcome(grant))
    assert trial.state.state_of(job_id(1)) is JobState.COMPLETED
    assert isinstance(trial.enqueued(spec(3)), StorageFull)
    trial.writer.low_space = False
    hand.exchange(outcome(hand.exchange(want=1).grants[0], OutcomeKind.RELEASED))
    assert trial.enqueued(spec(3)) == EnqueueReply(1, [])


def test_no_lease_is_given_while_a_commit_waits_for_space() -> None:
    trial = Trial()
    hand = Hand(trial)
    trial.enqueue(spec(1))
    trial.writer.fail(StorageFull("here"))
    hand.request(want=1, wait=10)
    assert trial.state.held == {}
    trial.engine.tick()
    trial.writer.settle()
    trial.engine.tick()
    assert list(trial.state.held) == ["w"]


def test_closing_answers_everyone() -> None:
    trial = Trial()
    hand = Hand(trial)
    held = hand.request(wait=10)
    flying, waiting = trial.enqueue(spec(1)), trial.enqueue(spec(2))
    trial.engine.close()
    for box in (held, flying, waiting, trial.enqueue(spec(3))):
        assert isinstance(box.answer, QueueClosed)
    trial.writer.commit()  # the disk was slower
    assert len(flying.answers) == 1


def test_a_mark_is_the_last_event_of_its_commit_and_names_it() -> None:
    trial = Trial()
    trial.enqueue(spec(1))
    trial.engine.folding.request()
    trial.enqueue(spec(2))
    trial.writer.settle()
    events = decode(trial.writer.durable[-1])
    assert [type(event) for event in events] == [Enqueued, Marked]
    assert events[-1] == Marked(len(trial.writer.durable))


@pytest.mark.parametrize("answer", [UNKNOWN, QueueClosed("gone")])
def test_an_answer_is_given_once(answer: TaskQueueError) -> None:
    trial = Trial()
    box = trial.enqueue(spec(1))
    trial.writer.commit()
    trial.engine.commits.close(answer)
    assert len(box.answers) == 1


def test_a_synchronous_disk_does_as_well() -> None:
    trial = Trial()
    trial.writer.at_once = True
    box = Box()
    trial.engine.enqueue(raw_batch([spec(1)]), box)
    assert box.answer == EnqueueReply(1, [])
    assert trial.command(Cancel, "c", job_id(1)).answer == [job_id(1)]
    assert facts(trial.replayed()) == facts(trial.state)
