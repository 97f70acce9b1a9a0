"""Cancel, redrive and purge: done once, however often they are asked for."""

from taskqueue_ray.core.changes import Changes
from taskqueue_ray.core.commands import Cancel, Configure, Purge, Redrive
from taskqueue_ray.core.errors import QueueFull, Unavailable
from taskqueue_ray.core.events import Folded, Received, decode
from taskqueue_ray.core.exchange import EnqueueReply, OutcomeKind
from taskqueue_ray.core.identity import CLOCK_SKEW
from taskqueue_ray.core.lifecycle import JobState
from tests.ledger import facts
from tests.records import START, job_id, outcome, spec
from tests.unit.engine.engine_trial import Box, Hand, Trial


def _failed() -> Trial:
    trial = Trial()
    trial.enqueued(spec(1))
    hand = Hand(trial)
    (grant,) = hand.exchange(want=1).grants
    hand.exchange(outcome(grant, OutcomeKind.ERRORED, final=True))
    return trial


def test_a_repeated_command_gets_the_first_answer() -> None:
    trial = Trial()
    trial.enqueued(spec(1), spec(2))
    first = trial.command(Cancel, "c1", job_id(1))
    again = trial.command(Cancel, "c1", job_id(1))
    assert again.empty
    trial.writer.settle()
    assert first.answer == again.answer == [job_id(1)]
    other = trial.command(Cancel, "c2", job_id(1))
    trial.writer.settle()
    assert other.answer == []


def test_the_receipt_is_in_the_commit_of_what_it_is_for() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    trial.command(Cancel, "c1", job_id(1))
    trial.writer.settle()
    cancelled, received = decode(trial.writer.durable[-1])
    assert isinstance(received, Received)
    assert received.command == "c1"
    assert type(cancelled).__name__ == "Cancelled"


def test_a_receipt_survives_a_restart() -> None:
    trial = _failed()
    trial.command(Redrive, "c1", job_id(1))
    trial.writer.settle()
    again = Trial(trial.replayed())
    box = again.command(Redrive, "c1", job_id(1))
    again.writer.settle()
    assert box.answer == [job_id(1)]
    assert again.state.jobs[job_id(1)].generation == 1


def test_a_redriven_job_goes_to_a_worker_that_waits() -> None:
    trial = _failed()
    box = Hand(trial, "v").request(want=1, wait=10)
    trial.command(Redrive, "c1", job_id(1))
    trial.writer.settle()
    assert [grant.id for grant in box.answer.grants] == [job_id(1)]


def test_purge_drops_records() -> None:
    trial = _failed()
    box = trial.command(Purge, "c1", job_id(1))
    trial.writer.settle()
    assert box.answer == [job_id(1)]
    assert trial.engine.insights.job(job_id(1)) is None
    assert trial.enqueued(spec(1)) == EnqueueReply(0, [0])


# --- ids that only history may know ---------------------------------------------------------------


def _forgetful() -> Trial:
    trial = Trial()
    trial.clock.at = START + CLOCK_SKEW + 1000
    trial.engine.path.record([Folded(1, START + 500)])
    trial.engine.commits.flush()
    trial.writer.settle()
    return trial


def test_an_old_id_is_looked_up_before_it_is_taken() -> None:
    trial = _forgetful()
    box = trial.enqueue(spec(1), spec(2))
    (ids, found) = trial.asked.pop()
    assert ids == [job_id(1), job_id(2)]
    found({job_id(1): JobState.COMPLETED})
    trial.writer.settle()
    assert box.answer == EnqueueReply(1, [0])


def test_an_old_parent_is_looked_up_too() -> None:
    trial = _forgetful()
    young = spec(2, parents=[1])
    box = trial.enqueue(type(young)(job_id(2, trial.clock.at), 0, b"", 0.0, young.parents))
    ids, found = trial.asked.pop()
    assert ids == [job_id(1)]
    found({job_id(1): JobState.COMPLETED})
    trial.writer.settle()
    assert box.answer == EnqueueReply(1, [])


def test_young_ids_and_known_ones_are_not_looked_up() -> None:
    trial = Trial()
    trial.enqueued(spec(1))
    trial.engine.path.record([Folded(1, START + 500)])
    trial.enqueued(spec(1))
    young = type(spec(2))(job_id(2, START + CLOCK_SKEW + 500), 0, b"")
    trial.enqueued(young)
    assert trial.asked == []


def test_history_that_cannot_be_read_refuses_and_stores_nothing() -> None:
    trial = _forgetful()
    box = trial.enqueue(spec(1))
    trial.asked.pop()[1](Unavailable("no history"))
    assert isinstance(box.answer, Unavailable)
    assert trial.state.jobs == {}


def test_what_is_forgotten_during_the_look_up_is_asked_for_as_well() -> None:
    """The first id was in memory when history was asked for the second, and is not any more."""
    trial = Trial()
    trial.enqueued(spec(1))
    hand = Hand(trial)
    hand.exchange(outcome(hand.exchange(want=1).grants[0]))
    trial.clock.at = START + CLOCK_SKEW + 100_000
    trial.engine.path.record([Folded(0, START - 1)])
    old = type(spec(2))(job_id(2, START - 7200), 0, b"")
    box = trial.enqueue(spec(1), old)
    ids, found = trial.asked.pop()
    assert ids == [old.id]
    trial.engine.folding.request()
    trial.writer.settle()
    trial.engine.path.record([Folded(len(trial.writer.durable), trial.clock.at - 1000)])
    found({})
    ids, found = trial.asked.pop()
    assert ids == [job_id(1)]
    found({job_id(1): JobState.COMPLETED})
    trial.writer.settle()
    assert box.answer == EnqueueReply(1, [0])


# --- a redrive with other options -----------------------------------------------------------------


def test_a_repeated_redrive_changes_nothing_more() -> None:
    trial = _failed()
    first, again = Box(), Box()
    trial.engine.command(Redrive([job_id(1)], Changes(queue="mail")), "c1", first)
    trial.engine.command(Redrive([job_id(1)], Changes(queue="reports")), "c1", again)
    trial.writer.settle()
    assert first.answer == again.answer == [job_id(1)]
    assert trial.state.jobs[job_id(1)].options.queue == "mail"
    assert facts(trial.replayed()) == facts(trial.state)


def test_a_refused_redrive_waits_for_the_disk_and_may_be_asked_for_again() -> None:
    trial = _failed()
    box, room = Box(), Box()
    trial.engine.control(Configure("mail", max_depth=0), Box())
    redrive = Redrive([job_id(1)], Changes(queue="mail"))
    trial.engine.command(redrive, "c1", box)
    assert box.empty
    trial.writer.settle()
    assert isinstance(box.answer, QueueFull)
    trial.engine.control(Configure("mail", max_depth=1), Box())
    trial.engine.command(redrive, "c1", room)
    trial.writer.settle()
    assert room.answer == [job_id(1)]
