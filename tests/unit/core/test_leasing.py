"""Leases given, started, released and lost."""

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Failure, Finished, Leased
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, count_up, facts, number_of
from tests.records import job_id, options, spec, worker


def _release(ledger: Ledger, *numbers: int, by: str = "w") -> None:
    ledger.do(commands.Release(by, [job_id(n) for n in numbers]))


def test_one_lease_number_for_each_grant_and_one_delivery_more_for_each_job() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 5)])
    first, second = ledger.lease(2), ledger.lease(1, worker("v"))
    assert [(g.id, g.lease, g.delivery, g.attempt) for g in first] == [
        (job_id(1), 1, 1, 1),
        (job_id(2), 1, 1, 1),
    ]
    assert [(g.lease, g.delivery) for g in second] == [(2, 1)]
    assert ledger.job(1).phase == Leased("w", 1, ledger.now)
    _release(ledger, 1)
    assert [(g.lease, g.delivery) for g in ledger.lease(1)] == [(3, 2)]


def test_nothing_to_lease_is_no_event() -> None:
    ledger = Ledger()
    assert ledger.lease(5) == []
    ledger.enqueue([spec(1)])
    assert ledger.lease(0) == []
    assert len(ledger.commits) == 1


def test_a_release_takes_only_what_is_the_workers() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)])
    ledger.lease(1)
    ledger.lease(1, worker("v"))
    before = facts(ledger.state)
    _release(ledger, 2, 99)
    _release(ledger, 1, by="stranger")
    assert facts(ledger.state) == before
    _release(ledger, 1, 2, 99)
    assert ledger.order() == [1]
    count_up(ledger.state)


def test_a_job_is_started_once() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)])
    grants = ledger.lease(2)
    ledger.start(grants[0])
    commits = len(ledger.commits)
    ledger.start(grants[0])
    ledger.start(grants[1], by="stranger")
    assert len(ledger.commits) == commits
    assert [ledger.job(n).running for n in (1, 2)] == [True, False]


def test_a_lost_worker_is_charged_only_for_what_it_ran() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in (1, 2, 3)])
    grants = ledger.lease(3)
    ledger.start(grants[1])
    ledger.now += 8
    ledger.lose()
    assert [ledger.job(n).losses for n in (1, 2, 3)] == [0, 1, 0]
    assert [ledger.job(n).attempts for n in (1, 2, 3)] == [0, 0, 0]
    assert ledger.order() == [1, 2, 3]
    ran = ledger.job(2).history[-1]
    assert (ran.failure, ran.seconds, ran.worker) == (Failure("loss", "WorkerLost"), 8.0, "w")
    assert ledger.state.totals["q"].losses == 1
    assert ledger.state.held == {}
    assert not any(ledger.job(n).running for n in (1, 2, 3))


def test_a_worker_that_held_one_job_alone_was_running_it() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    ledger.lease()
    ledger.lose()
    assert ledger.job(1).losses == 1


def test_too_many_losses_make_a_poison_pill() -> None:
    ledger = Ledger(Bounds(max_losses=3))
    ledger.enqueue([spec(1)])
    for losses in (1, 2):
        ledger.lease()
        ledger.lose()
        assert ledger.job(1).losses == losses
        assert ledger.order() == [1]
    grant = ledger.lease()[0]
    ledger.lose()
    phase = ledger.job(1).phase
    assert isinstance(phase, Finished)
    assert (phase.state, phase.reason, phase.lease) == (JobState.FAILED, "poison", grant.lease)
    assert ledger.job(1).losses == 3
    assert ledger.order() == []
    count_up(ledger.state)


def test_losses_and_attempts_are_counted_apart() -> None:
    ledger = Ledger(Bounds(max_losses=3))
    ledger.enqueue([spec(1)], options(max_attempts=2))
    ledger.lease()
    ledger.lose()
    ledger.end(ledger.lease()[0], OutcomeKind.ERRORED)
    ledger.wait(3600)
    ledger.lease()
    ledger.lose()
    assert (ledger.job(1).attempts, ledger.job(1).losses) == (1, 2)
    assert ledger.job(1).state is JobState.PENDING


def test_a_loss_is_no_charge_for_a_job_that_was_to_be_cancelled() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1)])
    ledger.start(ledger.lease()[0])
    ledger.cancel(1)
    ledger.lose()
    assert ledger.state_of(1) is JobState.CANCELLED
    assert ledger.job(1).losses == 0


def test_losing_a_worker_that_holds_nothing() -> None:
    ledger = Ledger()
    ledger.lose()
    assert ledger.commits == []


def _lost_together(numbers: range) -> Ledger:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in numbers])
    for _ in range(2):
        assert len(ledger.lease(len(numbers))) == len(numbers)
        ledger.lose()
    return ledger


def test_what_vanished_workers_held_twice_is_handed_out_one_at_a_time() -> None:
    ledger = _lost_together(range(1, 4))
    ledger.enqueue([spec(9)])
    assert ledger.order() == [1]
    first = ledger.lease(5)
    assert len(first) == 1
    assert ledger.order() == []  # not before it is known to run
    ledger.start(*first)
    assert ledger.order() == [2]
    second = ledger.lease(5)
    ledger.end(second[0])
    ledger.end(ledger.lease(5)[0])
    assert ledger.order() == [9]
    assert ledger.state.suspects == 0


def test_a_suspect_does_not_come_to_jobs_that_have_not_begun() -> None:
    ledger = _lost_together(range(1, 3))
    ledger.enqueue([spec(9)], options(queue="other"))
    other = worker("v", queues=("other",))
    held = ledger.lease(1, other)
    both = worker("v")
    assert ledger.order(info=both) == []
    ledger.start(*held, by="v")
    assert ledger.order(info=both) == [1]


def test_a_job_that_ends_its_worker_at_once_becomes_a_dead_letter_and_the_others_run() -> None:
    ledger = Ledger(Bounds(max_losses=3))
    ledger.enqueue([spec(n) for n in range(1, 6)])
    deaths = 0
    done: set[int] = set()
    while len(done) < 4:
        grants = ledger.lease(5)
        if job_id(3) in {grant.id for grant in grants}:
            deaths += 1
            assert deaths <= 5, "the poison goes round"
            ledger.lose()
            continue
        for grant in grants:
            ledger.end(grant)
            done.add(number_of(grant.id))
    assert ledger.state_of(3) is JobState.FAILED
    assert getattr(ledger.job(3).phase, "reason", "") == "poison"
    assert ledger.job(3).losses == 3
    assert {ledger.job(n).losses for n in done} == {0}
    assert ledger.redrive(3) == [job_id(3)]
    ledger.enqueue([spec(9)])
    assert ledger.order() == [3]


def test_suspicion_survives_a_replay_and_a_snapshot() -> None:
    ledger = _lost_together(range(1, 4))
    again = ledger.replayed()
    assert facts(again) == facts(ledger.state)
    assert again.suspects == 3
    restored = read_snapshot(write_snapshot(again))
    assert restored.suspects == 3
