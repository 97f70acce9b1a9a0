"""The exchange of a worker: repeatable, overlapping, fenced."""

from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.commands import Cancel
from taskqueue_ray.core.errors import UnknownSession
from taskqueue_ray.core.exchange import OutcomeKind, WorkReply
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Options
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.engine.work import RETELL
from tests.ledger import facts, replayed
from tests.records import job_id, options, outcome, spec, worker
from tests.unit.engine.engine_trial import Box, Hand, Trial

TERM = 30.0


def _trial(jobs: int = 0) -> tuple[Trial, Hand]:
    trial = Trial(bounds=Bounds(lease_seconds=TERM))
    hand = Hand(trial)
    if jobs:
        trial.enqueued(*[spec(n) for n in range(1, jobs + 1)])
    return trial, hand


def test_one_exchange_settles_and_leases() -> None:
    _, hand = _trial(3)
    first = hand.exchange(want=2)
    assert [grant.id for grant in first.grants] == [job_id(1), job_id(2)]
    assert first.options == [options()]
    second = hand.exchange(*[outcome(grant) for grant in first.grants], want=2)
    assert [grant.id for grant in second.grants] == [job_id(3)]
    assert second.stale == []


def test_options_are_sent_once_for_all_grants_that_share_them() -> None:
    trial, hand = _trial()
    trial.enqueued(*[spec(n) for n in (1, 2)])
    trial.enqueued(*[spec(n) for n in (3, 4)], shared=options(tags=("x",)))
    reply = hand.exchange(want=4)
    assert [grant.options for grant in reply.grants] == [0, 0, 1, 1]
    assert reply.options == [options(), options(tags=("x",))]


def test_a_repeated_sequence_gets_the_same_answer() -> None:
    trial, hand = _trial(3)
    first = hand.request(want=2)
    trial.writer.settle()
    before = facts(trial.state)
    again = hand.repeat(1, want=2)
    trial.writer.settle()
    assert again.answer == first.answer
    assert facts(trial.state) == before


def test_a_repeat_waits_for_the_commit_of_the_first() -> None:
    trial, hand = _trial(1)
    first, again = hand.request(want=1), hand.repeat(1, want=1)
    assert again.empty
    trial.writer.settle()
    assert again.answer == first.answer


def test_answers_are_kept_until_the_worker_has_them() -> None:
    trial, hand = _trial(2)
    hand.exchange(want=1)
    assert list(trial.engine.fleet.workers["w"].replies) == [1]
    hand.exchange(want=1)
    assert list(trial.engine.fleet.workers["w"].replies) == [2]


def test_an_unknown_worker_must_register() -> None:
    trial, hand = _trial()
    trial.engine.lose("w")
    trial.writer.settle()
    assert isinstance(hand.request(want=1).answer, UnknownSession)


def test_a_call_is_held_until_there_is_work() -> None:
    trial, hand = _trial()
    box = hand.request(want=2, wait=10)
    assert box.empty
    trial.enqueue(spec(1))
    assert box.empty
    trial.writer.settle()
    assert [grant.id for grant in box.answer.grants] == [job_id(1)]


def test_a_held_call_ends_when_its_time_is_up() -> None:
    trial, hand = _trial()
    box = hand.request(want=2, wait=10)
    trial.pass_time(9.9)
    assert box.empty
    trial.pass_time(0.1)
    assert box.answer == WorkReply(1)


def test_a_newer_exchange_ends_the_held_one() -> None:
    trial, hand = _trial()
    held = hand.request(want=2, wait=10)
    newer = hand.request(want=1, wait=10)
    assert held.answer == WorkReply(1)
    assert newer.empty
    trial.enqueued(spec(1), spec(2))
    assert [grant.id for grant in newer.answer.grants] == [job_id(1)]


def test_an_overtaken_exchange_settles_and_wishes_nothing() -> None:
    trial, hand = _trial(3)
    (grant,) = hand.exchange(want=1).grants
    newer = hand.repeat(3, want=1, held=[grant.id])
    older = hand.repeat(2, outcome(grant), want=1, held=[])
    trial.writer.settle()
    assert trial.state.state_of(job_id(1)) is JobState.COMPLETED
    assert older.answer == WorkReply(2)
    assert [g.id for g in newer.answer.grants] == [job_id(2)]
    assert set(trial.state.held["w"]) == {job_id(2)}


def test_grants_on_their_way_are_not_taken_back() -> None:
    trial, hand = _trial(2)
    granted = hand.request(want=1)
    trial.writer.settle()
    hand.request(want=0)  # sent before that answer came: it holds nothing, and has acked nothing
    trial.writer.settle()
    assert set(trial.state.held["w"]) == {job_id(1)}
    hand.take(granted)
    hand.held = []  # it has the answer, and the job is not with it
    hand.exchange()
    assert trial.state.held == {}
    assert trial.state.state_of(job_id(1)) is JobState.PENDING


def test_a_job_that_is_no_longer_the_workers_is_named_as_stale() -> None:
    trial, hand = _trial(1)
    (grant,) = hand.exchange(want=1).grants
    trial.engine.lose("w")
    trial.writer.settle()
    other = Hand(trial, "v")
    other.exchange(want=1)
    trial.engine.register(hand.info, Box())
    reply = hand.exchange(outcome(grant))
    assert reply.stale == [grant.id]


def test_a_session_renews_itself_with_every_exchange() -> None:
    trial, hand = _trial(1)
    hand.exchange(want=1)
    for _ in range(5):
        assert trial.pass_time(TERM - 1) == []
        hand.exchange()
    assert trial.pass_time(TERM - 1) == []
    assert trial.pass_time(1) == ["w"]
    assert trial.state.state_of(job_id(1)) is JobState.PENDING


def test_a_held_call_keeps_the_lease_for_as_long_as_it_may_be_held() -> None:
    trial, hand = _trial(1)
    hand.exchange(want=1)
    box = hand.request(wait=50)
    assert trial.pass_time(50) == []
    assert not box.empty
    assert trial.pass_time(TERM - 1) == []
    assert trial.pass_time(1) == ["w"]


def test_a_lost_worker_is_charged_for_what_it_reported_as_running() -> None:
    trial, hand = _trial(2)
    hand.exchange(want=2)
    hand.exchange(running=[job_id(2)])
    trial.pass_time(TERM)
    assert [trial.state.jobs[job_id(n)].losses for n in (1, 2)] == [0, 1]


def test_losing_a_worker_ends_its_held_call_and_offers_its_jobs() -> None:
    trial, hand = _trial(1)
    hand.exchange(want=1)
    held = hand.request(want=1, wait=10)
    other = Hand(trial, "v")
    waits = other.request(want=1, wait=10)
    trial.engine.lose("w")
    trial.writer.settle()
    assert isinstance(held.answer, UnknownSession)
    assert [grant.id for grant in waits.answer.grants] == [job_id(1)]


def test_a_worker_that_says_so_and_gives_all_back_leaves_in_good_order() -> None:
    trial, hand = _trial(1)
    hand.exchange(want=1)
    hand.exchange(leaving=True)
    hand.held = []
    hand.exchange(leaving=True)
    assert trial.engine.lose("w")


def test_a_worker_that_dies_has_not_left_in_good_order() -> None:
    """Not while it leaves either, when it still has something in hand."""
    trial, hand = _trial(1)
    idle = Hand(trial, "v")
    idle.exchange()
    hand.exchange(want=1)
    hand.exchange(leaving=True)
    assert not trial.engine.lose("v")
    assert not trial.engine.lose("w")
    assert not trial.engine.lose("nobody")


def test_after_a_restart_every_lease_has_a_full_term() -> None:
    trial, hand = _trial(1)
    (grant,) = hand.exchange(want=1).grants
    trial.clock.at += 1000
    again = Trial(replayed(trial.writer.durable), bounds=Bounds(lease_seconds=TERM))
    again.clock.at = trial.clock.at
    again.engine.work_desk.restore(again.clock.at)
    assert again.pass_time(TERM - 1) == []
    # It comes back, says who it is, and goes on where it was.
    hand.trial = again
    assert isinstance(hand.request(outcome(grant)).answer, UnknownSession)
    box = Box()
    again.engine.register(hand.info, box)
    assert box.answer == [grant.id]
    assert hand.exchange(outcome(grant)).stale == []
    assert again.state.state_of(job_id(1)) is JobState.COMPLETED


def test_a_drained_worker_gets_nothing_new_and_is_told() -> None:
    trial, hand = _trial(1)
    held = hand.request(want=0, wait=10)
    assert trial.engine.drain("w")
    assert held.answer.drain
    assert hand.exchange(want=1).grants == []
    assert hand.request(want=1, wait=10).empty  # said just now: a held call does not spin
    trial.pass_time(RETELL)
    assert hand.exchange(want=1).drain  # but again, until it says that it leaves
    assert not trial.engine.drain("nobody")


def test_a_cancellation_reaches_the_worker_that_runs_the_job() -> None:
    trial, hand = _trial(1)
    (grant,) = hand.exchange(want=1).grants
    held = hand.request(wait=10)
    moved = trial.command(Cancel, "c1", grant.id)
    trial.writer.settle()
    assert moved.answer == [grant.id]
    assert held.answer.cancel == [grant.id]
    hand.acked = held.answer.sequence
    assert hand.request(wait=10).empty  # said just now: a held call does not spin
    trial.pass_time(RETELL)
    assert hand.exchange().cancel == [grant.id]  # but again, until it has happened
    assert hand.exchange(outcome(grant, OutcomeKind.CANCELLED)).cancel == []
    assert trial.state.state_of(grant.id) is JobState.CANCELLED


def test_a_cancellation_survives_a_restart() -> None:
    trial, hand = _trial(1)
    (grant,) = hand.exchange(want=1).grants
    trial.command(Cancel, "c1", grant.id)
    trial.writer.settle()
    again = Trial(trial.replayed())
    again.engine.register(hand.info, Box())
    hand.trial = again
    assert hand.exchange().cancel == [grant.id]


def test_work_goes_to_those_who_can_do_it() -> None:
    trial = Trial()
    plain = Hand(trial, "plain")
    able = Hand(trial, "able", worker("able", keys=("k",)))
    waits, gets = plain.request(want=1, wait=10), able.request(want=1, wait=10)
    trial.enqueued(spec(1), shared=options(key="k"))
    assert waits.empty
    assert [grant.id for grant in gets.answer.grants] == [job_id(1)]


def test_a_due_job_goes_to_a_worker_that_waits() -> None:
    trial, hand = _trial()
    trial.enqueued(spec(1, due=trial.clock.at + 5))
    box = hand.request(want=1, wait=10)
    assert trial.engine.next_due() == trial.clock.at + 5
    trial.pass_time(4.9)
    assert box.empty
    trial.pass_time(0.1)
    assert [grant.id for grant in box.answer.grants] == [job_id(1)]
    assert trial.engine.next_due() is None


def test_the_journal_of_a_long_conversation_gives_the_same_state() -> None:
    trial, hand = _trial(20)
    for turn in range(30):
        kind = (OutcomeKind.COMPLETED, OutcomeKind.ERRORED, OutcomeKind.RELEASED)[turn % 3]
        reply = hand.exchange(want=2, running=hand.held[:1])
        hand.exchange(*[outcome(grant, kind) for grant in reply.grants])
        trial.pass_time(5)
    assert facts(trial.replayed()) == facts(trial.state)


EVERY_KIND = ("process", "async", "actor", "task")


def _in_ray(kind: str, num_gpus: float | None = None) -> Options:
    return options(executor=kind, shape=Shape(num_gpus=num_gpus))


def test_each_kind_of_executor_has_room_of_its_own() -> None:
    trial, _ = _trial()
    hand = Hand(trial, "able", worker("able", executors=EVERY_KIND))
    trial.enqueued(*[spec(n) for n in (1, 2)], shared=_in_ray("actor"))
    trial.enqueued(*[spec(n) for n in (3, 4)], shared=_in_ray("task"))
    trial.enqueued(*[spec(n) for n in (5, 6)])
    reply = hand.exchange(want=1, rooms={"actor": 1, "task": 0})
    assert [grant.id for grant in reply.grants] == [job_id(5), job_id(1)]
    assert reply.options[reply.grants[1].options].shape == Shape()
    reply = hand.exchange(want=5, rooms={"actor": 0, "task": 5})
    assert [grant.id for grant in reply.grants] == [job_id(6), job_id(3), job_id(4)]
    assert facts(trial.replayed()) == facts(trial.state)


def test_a_place_that_is_full_gets_no_more_and_holds_up_no_other() -> None:
    trial, _ = _trial()
    hand = Hand(trial, "able", worker("able", executors=EVERY_KIND))
    trial.enqueued(*[spec(n) for n in (1, 2)], shared=_in_ray("task", num_gpus=1.0))
    trial.enqueued(spec(3), shared=_in_ray("task"))
    reply = hand.exchange(rooms={"task": 5}, full=["task num_gpus=1"])
    assert [grant.id for grant in reply.grants] == [job_id(3)]
    reply = hand.exchange(rooms={"task": 5})
    assert [grant.id for grant in reply.grants] == [job_id(1), job_id(2)]


def test_a_held_call_is_answered_with_jobs_for_ray() -> None:
    trial, _ = _trial()
    hand = Hand(trial, "able", worker("able", executors=EVERY_KIND))
    box = hand.request(rooms={"actor": 1}, wait=10.0)
    assert box.empty
    trial.enqueued(*[spec(n) for n in (1, 2)], shared=_in_ray("actor"))
    assert [grant.id for grant in hand.take(box).grants] == [job_id(1)]


def test_a_worker_without_such_executors_gets_no_jobs_for_ray() -> None:
    trial, hand = _trial()
    trial.enqueued(spec(1), shared=_in_ray("actor"))
    assert hand.exchange(want=5, rooms={"actor": 5}).grants == []
