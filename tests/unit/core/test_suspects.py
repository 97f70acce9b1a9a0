"""Jobs that may have killed their worker before anybody heard that they run."""

from collections.abc import Collection

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.exchange import Grant, OutcomeKind
from taskqueue_ray.core.leasing import PATIENCE
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Finished, Job
from taskqueue_ray.core.shape import Shape
from tests.ledger import Ledger, count_up, facts, grant_of, meaning, number_of
from tests.records import job_id, options, outcome, spec, worker

WIDE = worker(concurrency=8)


def _numbers(grants: list[Grant]) -> list[int]:
    return [number_of(grant.id) for grant in grants]


def _suspects(ledger: Ledger) -> set[int]:
    return {number_of(one) for one in ledger.state.suspects}


def _after_a_loss(*numbers: int, bounds: Bounds | None = None) -> Ledger:
    """These jobs were held, and none of them reported, when their worker vanished."""
    ledger = Ledger(bounds or Bounds())
    ledger.enqueue([spec(n) for n in numbers])
    ledger.lease(len(numbers))
    ledger.lose()
    assert _suspects(ledger) == set(numbers)
    return ledger


def test_what_was_held_is_tried_one_by_one() -> None:
    ledger = _after_a_loss(1, 2, 3)
    assert [ledger.job(n).losses for n in (1, 2, 3)] == [0, 0, 0]
    first = ledger.lease(3, WIDE)
    assert _numbers(first) == [1]
    assert ledger.lease(3, WIDE) == [], "the first has not begun"
    assert _numbers(ledger.lease(3, worker("v"))) == [2]
    ledger.start(*first)
    assert _numbers(ledger.lease(3, WIDE)) == [3]


def test_what_ran_is_charged_and_is_no_suspect() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1), spec(2)])
    ledger.start(ledger.lease(2)[0])
    ledger.lose()
    assert _suspects(ledger) == {2}
    assert (ledger.job(1).losses, ledger.job(2).losses) == (1, 0)


def test_a_suspect_whose_worker_vanishes_again_is_charged() -> None:
    ledger = _after_a_loss(1, 2)
    ledger.lease(2)
    ledger.lose()
    assert (ledger.job(1).losses, ledger.job(2).losses) == (1, 0)
    assert _suspects(ledger) == {1, 2}


def test_jobs_before_a_suspect_are_leased_without_it_and_those_behind_it_wait() -> None:
    ledger = _after_a_loss(1, 2)
    ledger.enqueue([spec(3), spec(4, 1)], options(), options(priority=9))
    before = ledger.lease(9, WIDE)
    assert _numbers(before) == [4]
    assert ledger.lease(9, WIDE) == []
    ledger.start(*before)
    assert _numbers(ledger.lease(9, WIDE)) == [1]


def test_a_worker_without_a_free_executor_does_not_try_a_suspect() -> None:
    """It would wait there, and be charged for what the running one does."""
    ledger = _after_a_loss(1, 2)
    one = worker(concurrency=1, executors=("process", "async"))
    running = ledger.lease(1, one)
    ledger.start(*running)
    assert ledger.lease(1, one) == []
    ledger.end(running[0])
    assert _numbers(ledger.lease(1, one)) == [2]


def test_a_suspect_that_was_charged_is_tried_with_nothing_beside_it() -> None:
    ledger = _after_a_loss(1, 2)
    ledger.lease(1)
    ledger.lose()
    ledger.enqueue([spec(3)], options(priority=9))
    beside = ledger.lease(1, WIDE)
    ledger.start(*beside)
    assert ledger.lease(9, WIDE) == []
    ledger.end(beside[0])
    assert _numbers(ledger.lease(9, WIDE)) == [1]


def test_a_worker_that_is_busy_for_long_tries_suspects_beside_what_runs() -> None:
    """Else one that was charged would never run where all jobs take long."""
    ledger = _after_a_loss(1, 2)
    ledger.lease(1)
    ledger.lose()
    ledger.enqueue([spec(3)], options(priority=9))
    ledger.start(*ledger.lease(1, WIDE))
    ledger.enqueue([spec(4), spec(5)])
    assert ledger.lease(9, WIDE) == []
    ledger.now += PATIENCE
    for suspect in (1, 2):
        assert _numbers(ledger.lease(9, WIDE)) == [suspect]
        assert ledger.lease(9, WIDE) == []
        ledger.start(grant_of(ledger.job(suspect)))
    assert _numbers(ledger.lease(9, WIDE)) == [4, 5]


@pytest.mark.parametrize("how", ["start", "release", "complete", "snooze", "cancel", "redrive"])
def test_a_suspect_is_one_no_more(how: str) -> None:
    ledger = _after_a_loss(1, 2, bounds=Bounds(max_losses=2))
    ledger.cancel(2)
    assert _suspects(ledger) == {1}
    if how == "cancel":
        ledger.cancel(1)
    elif how == "redrive":
        for _ in range(2):
            ledger.lease()
            ledger.lose()
        assert ledger.redrive(1) == [job_id(1)]
    else:
        grant = ledger.lease()[0]
        match how:
            case "start":
                ledger.start(grant)
            case "release":
                ledger.do(commands.Release("w", [grant.id]))
            case "complete":
                ledger.end(grant)
            case "snooze":
                ledger.end(grant, OutcomeKind.SNOOZED, due=ledger.now + 1)
    assert _suspects(ledger) == set()
    assert not ledger.job(1).suspect


def test_suspicion_outlives_a_restart() -> None:
    ledger = _after_a_loss(1, 2)
    ledger.lease()
    assert facts(ledger.replayed()) == facts(ledger.state)
    assert meaning(ledger.replayed()) == meaning(ledger.state)
    ledger.state = ledger.replayed()
    ledger.lose()
    assert (ledger.job(1).losses, ledger.job(2).losses) == (1, 0)


def test_one_wish_at_a_time_is_fulfilled_with_many_suspects_passed_over() -> None:
    ledger = _after_a_loss(*range(1, 51))
    ledger.enqueue([spec(n) for n in range(60, 64)])
    narrow = worker(concurrency=1)
    ledger.start(*ledger.lease(1, narrow))
    ledger.now += PATIENCE
    assert _numbers(ledger.lease(3, narrow)) == [60, 61, 62]
    assert ledger.lease(0, narrow) == []


class Fleet:
    """Workers that begin as much as they can; one that begins poison vanishes in that moment."""

    def __init__(self, ledger: Ledger, workers: int, poison: Collection[int] = ()) -> None:
        self.ledger = ledger
        self.poison = poison
        self.workers = [worker(f"w{n}", concurrency=8) for n in range(workers)]
        self.vanished = 0

    def turn(self, seconds: float, *, ends: bool = True) -> None:
        """Each worker once: it reports what runs, or that it has ended, and gets more."""
        self.ledger.now += seconds
        for info in self.workers:
            running = self._hands(info.id)[:8]
            if ends:
                for job in running:
                    self.ledger.settle(outcome(grant_of(job)), by=info.id)
            self.ledger.do(commands.Start(info.id, [job.id for job in running]))
            self.ledger.lease(10 - len(self._hands(info.id)), info)
            if any(number_of(job.id) in self.poison for job in self._hands(info.id)[:8]):
                self.ledger.lose(info.id)
                self.vanished += 1

    def running(self) -> int:
        return sum(job.running for info in self.workers for job in self._hands(info.id))

    def _hands(self, name: str) -> list[Job]:
        return list(self.ledger.state.held.get(name, {}).values())


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seconds", [1.0, 60.0])
@pytest.mark.parametrize("poison", [(3,), (1, 2), (9, 27)])
def test_quick_poison_ends_and_nobody_else_does(
    workers: int, seconds: float, poison: tuple[int, ...]
) -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 41)])
    fleet = Fleet(ledger, workers, poison)
    for turn in range(300):
        fleet.turn(seconds, ends=turn % 3 == 2)
    for number in range(1, 41):
        phase = ledger.job(number).phase
        assert isinstance(phase, Finished), number
        if number in poison:
            assert (phase.state, phase.reason) == (JobState.FAILED, "poison")
        else:
            # Charged at most where it ran when a poison job came the first and the second time.
            assert phase.state is JobState.COMPLETED
            assert ledger.job(number).losses <= 2 * len(poison)
    assert fleet.vanished <= (ledger.bounds.max_losses + 1) * len(poison)
    assert ledger.state.suspects == set()
    count_up(ledger.state)
    assert facts(ledger.replayed()) == facts(ledger.state)


def test_many_suspects_are_cleared_as_fast_as_they_begin() -> None:
    """As after the loss of a node; what begins first is cleared, however long it runs."""
    ledger = _after_a_loss(*range(1, 501))
    fleet = Fleet(ledger, 3)
    for _ in range(9):
        fleet.turn(0.1, ends=False)
    assert fleet.running() == 3 * 8
    assert len(ledger.state.suspects) == 500 - fleet.running()
    for _ in range(170):
        fleet.turn(0.1)
    assert ledger.state.suspects == set()
    assert all(job.losses == 0 for job in ledger.state.settled.values() if isinstance(job, Job))


def test_what_waits_for_ray_is_no_suspect() -> None:
    """It may be held for long, by one worker after another, and has harmed none of them."""
    ledger = Ledger()
    ledger.enqueue([spec(1)], options(executor="task", shape=Shape(num_gpus=8.0)))
    able = worker(executors=("task",))
    for _ in range(7):
        ledger.do(commands.Lease(able, 1))
        ledger.do(commands.Lose(able.id))
    job = ledger.job(1)
    assert (job.state, job.losses, job.suspect) == (JobState.PENDING, 0, False)
    ledger.do(commands.Lease(able, 1))
    ledger.do(commands.Start(able.id, [job_id(1)]))
    ledger.do(commands.Lose(able.id))
    assert ledger.job(1).losses == 1
