"""Redrive, purge, and what memory lets go of."""

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.events import Marked, Received
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Job, Settled, StoredCode
from taskqueue_ray.core.state import State, finish_key
from tests.ledger import Ledger, count_up, facts
from tests.records import BROKE, job_id, options, spec

DAY = 24 * 3600.0


def _failed(attempts: int = 1) -> Ledger:
    ledger = Ledger()
    ledger.enqueue([spec(1)], options(max_attempts=attempts))
    for _ in range(attempts):
        ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
        ledger.wait(3600)
    assert ledger.state_of(1) is JobState.FAILED
    return ledger


def _complete(ledger: Ledger, *numbers: int) -> None:
    ledger.enqueue([spec(n) for n in numbers])
    for grant in ledger.lease(len(numbers)):
        ledger.end(grant)


def _mark(ledger: Ledger, commit: int) -> None:
    ledger.record([Marked(commit)])


def test_a_redrive_is_a_new_generation() -> None:
    ledger = _failed(attempts=2)
    assert ledger.redrive(1, 1, 99) == [job_id(1)]
    job = ledger.job(1)
    assert (job.generation, job.attempts, job.losses, job.state) == (1, 0, 0, JobState.PENDING)
    assert [one.failure for one in job.history] == [BROKE, BROKE]
    grant = ledger.lease()[0]
    assert (grant.delivery, grant.attempt) == (3, 1)
    ledger.end(grant)
    assert ledger.state_of(1) is JobState.COMPLETED
    count_up(ledger.state)


def test_every_generation_leaves_a_record_for_history() -> None:
    ledger = _failed()
    ledger.redrive(1)
    ledger.end(ledger.lease()[0])
    records = list(ledger.state.unfolded.values())
    assert [(one.generation, one.state) for one in records] == [
        (0, JobState.FAILED),
        (1, JobState.COMPLETED),
    ]
    assert len({finish_key(one) for one in records}) == 2


def test_a_redriven_job_keeps_its_age() -> None:
    ledger = _failed()
    ledger.enqueue([spec(2)], options(max_attempts=1))
    ledger.redrive(1)
    assert ledger.order() == [1, 2]


def test_a_redriven_poison_pill_has_all_its_losses_before_it_again() -> None:
    ledger = Ledger(Bounds(max_losses=1))
    ledger.enqueue([spec(1)])
    ledger.lease()
    ledger.lose()
    assert ledger.job(1).losses == 1
    ledger.redrive(1)
    assert ledger.job(1).losses == 0
    assert ledger.order() == [1]


def test_only_dead_letters_are_redriven() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)])
    ledger.lease()
    ledger.end(ledger.lease()[0])
    assert ledger.redrive(1, 2, 3) == []


def test_a_purged_job_is_forgotten_but_its_id_is_taken() -> None:
    ledger = _failed()
    assert ledger.purge(1) == [job_id(1)]
    assert job_id(1) not in ledger.state.jobs
    assert isinstance(ledger.state.settled[job_id(1)], Settled)
    assert ledger.state.unfolded == {}
    assert sum(ledger.state.totals["q"].counts.values()) == 0
    assert ledger.enqueue([spec(1)], options(max_attempts=1)).known == [0]
    assert ledger.purge(1) == []


def test_only_what_ended_is_purged() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2, due=ledger.now + 9), spec(3), spec(4, parents=[3])])
    ledger.lease()
    assert ledger.purge(1, 2, 3, 4) == []


def test_what_history_is_about_to_get_is_not_purged() -> None:
    """The snapshot that a recovery starts from may have it already, and the event would differ."""
    ledger = Ledger()
    _complete(ledger, 1)
    _mark(ledger, 7)
    assert ledger.purge(1) == []
    dead = _failed()
    _mark(dead, 7)
    assert dead.purge(1) == [job_id(1)]


def test_a_fold_lets_go_of_records_and_keeps_how_they_ended() -> None:
    ledger = Ledger()
    _complete(ledger, 1)
    _mark(ledger, 7)
    _complete(ledger, 2)
    ledger.do(commands.Fold(7))
    assert isinstance(ledger.state.settled[job_id(1)], Settled)
    assert isinstance(ledger.state.settled[job_id(2)], Job)
    assert ledger.state.marked == {}
    assert ledger.state.folded == 7
    assert ledger.state.settled[job_id(1)].state is JobState.COMPLETED


def test_a_dead_letter_outlives_the_fold() -> None:
    ledger = _failed()
    _mark(ledger, 7)
    ledger.do(commands.Fold(7))
    ledger.now += 10 * DAY
    _mark(ledger, 8)
    ledger.do(commands.Fold(8))
    assert ledger.redrive(1) == [job_id(1)]


def test_an_older_fold_is_no_news() -> None:
    ledger = Ledger()
    _mark(ledger, 7)
    ledger.do(commands.Fold(7))
    before = facts(ledger.state)
    ledger.do(commands.Fold(7))
    ledger.do(commands.Fold(3))
    assert facts(ledger.state) == before


def test_beyond_the_horizon_ids_and_receipts_are_forgotten() -> None:
    ledger = Ledger()
    _complete(ledger, 1)
    ledger.record([Received(ledger.now, "old", b"")])
    _mark(ledger, 7)
    ledger.now += DAY - 1
    _complete(ledger, 2)
    ledger.record([Received(ledger.now, "young", b"")])
    ledger.do(commands.Fold(7))
    assert list(ledger.state.settled) == [job_id(1), job_id(2)]
    ledger.now += 2
    _mark(ledger, 8)
    ledger.do(commands.Fold(8))
    assert list(ledger.state.settled) == [job_id(2)]
    assert list(ledger.state.receipts) == ["young"]
    assert ledger.state.forgotten_before == ledger.now - DAY


def test_nothing_is_forgotten_before_history_has_it() -> None:
    ledger = Ledger()
    _complete(ledger, 1)
    _mark(ledger, 7)
    _complete(ledger, 2)
    ledger.now += 3 * DAY
    ledger.do(commands.Fold(7))
    assert list(ledger.state.settled) == [job_id(2)]


def test_a_count_bounds_what_is_remembered() -> None:
    ledger = Ledger(Bounds(remembered=2))
    for number in (1, 2, 3, 4, 5):
        ledger.now += 1
        _complete(ledger, number)
    _mark(ledger, 7)
    ledger.do(commands.Fold(7))
    assert list(ledger.state.settled) == [job_id(4), job_id(5)]
    assert ledger.state.forgotten_before == ledger.now - 1


def test_nothing_need_be_remembered() -> None:
    ledger = Ledger(Bounds(remembered=0))
    _complete(ledger, 1, 2)
    _mark(ledger, 7)
    ledger.do(commands.Fold(7))
    assert ledger.state.settled == {}
    _mark(ledger, 8)
    ledger.do(commands.Fold(8))
    assert ledger.state.folded == 8


def test_code_is_kept_once() -> None:
    ledger = Ledger()
    first = StoredCode("f", "3.11", b"sealed", ledger.now)
    ledger.do(commands.StoreCode("hash", first))
    ledger.do(commands.StoreCode("hash", StoredCode("g", "3.12", b"other", ledger.now)))
    assert ledger.state.codes == {"hash": first}


def test_forgetting_is_the_same_in_a_replay() -> None:
    ledger = Ledger()
    _complete(ledger, 1, 2, 3)
    _mark(ledger, 7)
    ledger.now += 2 * DAY
    ledger.do(commands.Fold(7))
    assert facts(ledger.replayed()) == facts(ledger.state)
    assert isinstance(ledger.replayed(), State)


def test_receipts_are_kept_their_time_however_many_jobs_end() -> None:
    ledger = Ledger(Bounds(remembered=1))
    ledger.record([Received(ledger.now, "c", b"reply")])
    for number in (1, 2, 3):
        ledger.now += 1
        _complete(ledger, number)
    _mark(ledger, 7)
    ledger.do(commands.Fold(7))
    assert "c" in ledger.state.receipts
    _mark(ledger, 8)
    ledger.now += DAY + 1
    ledger.do(commands.Fold(8))
    assert ledger.state.receipts == {}
