"""Leases given, started, released and lost."""

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Failure, Finished, Leased
from tests.ledger import Ledger, count_up, facts
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
