"""The order of leasing, and what it costs."""

from collections import deque
from collections.abc import Iterator

import pytest

from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.lanes import LaneQueue
from taskqueue_ray.core.model import PENDING, Job
from taskqueue_ray.core.ready import Ready
from tests.ledger import Ledger
from tests.records import job_id, options, spec, worker


def test_higher_priority_first_then_age() -> None:
    ledger = Ledger()
    shared = [options(priority=p) for p in (1, 5, 15)]
    ledger.enqueue([spec(1, 0), spec(2, 1), spec(3, 2), spec(4, 1), spec(5, 2)], *shared)
    assert ledger.order() == [3, 5, 2, 4, 1]


def test_lanes_of_one_priority_are_merged_by_age() -> None:
    ledger = Ledger()
    shared = [options(), options(executor="async"), options(key="k")]
    ledger.enqueue([spec(n, n % 3) for n in range(1, 10)], *shared)
    everything = worker(executors=("process", "async"), keys=("k",))
    assert ledger.order(info=everything) == list(range(1, 10))


def test_queues_are_merged_by_priority_and_age_and_taken_once() -> None:
    ledger = Ledger()
    shared = [options(queue="a"), options(queue="b"), options(queue="c", priority=9)]
    ledger.enqueue([spec(n, n % 3) for n in range(1, 7)], *shared)
    assert ledger.order() == [2, 5, 1, 3, 4, 6]
    assert ledger.order(info=worker(queues=("b", "a", "b"))) == [1, 3, 4, 6]
    assert ledger.order(info=worker(queues=("none",))) == []


@pytest.mark.parametrize(
    ("lane", "able", "unable"),
    [
        (options(executor="async"), worker(executors=("async",)), worker(executors=("process",))),
        (options(key="k1"), worker(keys=("k0", "k1")), worker(keys=("k0",))),
        (options(python="3.12"), worker(python="3.12"), worker(python="3.11")),
    ],
)
def test_a_worker_gets_only_what_it_can_run(lane, able, unable) -> None:  # type: ignore[no-untyped-def]
    ledger = Ledger()
    ledger.enqueue([spec(1, 0), spec(2, 1)], lane, options())
    assert 1 in ledger.order(info=able)
    assert 1 not in ledger.order(info=unable)


def test_what_returns_goes_back_to_its_place() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 7)])
    first, second, third = ledger.lease(3)
    ledger.end(second, OutcomeKind.RELEASED)
    assert ledger.order() == [2, 4, 5, 6]
    ledger.end(first, OutcomeKind.ERRORED)
    ledger.wait(3600)
    assert ledger.order() == [1, 2, 4, 5, 6]
    ledger.end(third, OutcomeKind.RELEASED)
    assert ledger.order() == [1, 2, 3, 4, 5, 6]


def test_a_job_that_returns_again_and_again_stands_in_line_once() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 4)])
    for _ in range(5):
        assert [ledger.order()[0]] == [1]
        ledger.end(ledger.lease()[0], OutcomeKind.RELEASED)
    assert ledger.order() == [1, 2, 3]
    # Left by cancelling the head while a leased one was behind it.
    ledger.lease(2)
    ledger.lose()
    assert ledger.order() == [1, 2, 3]


def test_a_job_due_later_keeps_its_age() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, due=ledger.now + 5), spec(2), spec(3)])
    assert ledger.order() == [2, 3]
    ledger.wait(5)
    assert ledger.order() == [1, 2, 3]


def test_nothing_is_promoted_early_beside_what_is_due() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, due=ledger.now + 5), spec(2, due=ledger.now + 5.5)])
    ledger.wait(5)
    assert ledger.order() == [1]


def test_cancelled_jobs_are_passed_over_wherever_they_stand() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 8)])
    ledger.cancel(1, 4, 7)
    assert ledger.order() == [2, 3, 5, 6]


def test_emptied_lanes_and_priorities_are_forgotten() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, 0), spec(2, 1)], options(priority=1), options(priority=2))
    ledger.lease(2)
    assert ledger.state.ready.queues == {}
    ledger.enqueue([spec(3)], options(priority=1))
    lanes = ledger.state.ready.queues["q"]
    assert (list(lanes.levels), lanes.priorities) == ([1], [1])
    assert ledger.order() == [3]


def test_a_queue_whose_last_job_has_gone_is_forgotten() -> None:
    """As with one queue for each customer."""
    ledger = Ledger()
    ledger.enqueue([spec(n, n - 1) for n in range(1, 5)], *[options(queue=q) for q in "abcd"])
    taken = ledger.lease(1)
    ledger.cancel(2, 3)
    assert list(ledger.state.ready.queues) == ["d"]
    ledger.end(taken[0], OutcomeKind.RELEASED)
    assert ledger.order() == [1, 4]
    ledger.lease(2)
    assert ledger.state.ready.queues == {}


def test_the_oldest_waiting_job_of_a_queue() -> None:
    ledger = Ledger()
    assert ledger.state.ready.oldest("q") is None
    ledger.enqueue([spec(1, 0), spec(2, 1)], options(priority=1), options(priority=50))
    oldest = ledger.state.ready.oldest("q")
    assert oldest is not None
    assert oldest.id == job_id(1)
    ledger.cancel(1, 2)
    assert ledger.state.ready.oldest("q") is None


class CountingDeque(deque[Job]):
    """Counts the entries that are looked at."""

    touched = 0

    def __iter__(self) -> Iterator[Job]:
        for job in super().__iter__():
            CountingDeque.touched += 1
            yield job


def _lane(ready: Ready, count: int) -> LaneQueue:
    shared = options()
    for n in range(1, count + 1):
        ready.add(Job(job_id(n), shared, b"", n, 0.0))
    lane = ready.queues["q"].levels[shared.priority][shared.lane].tenants[""]
    lane.fifo = CountingDeque(lane.fifo)
    return lane


def test_leasing_looks_at_no_more_than_it_hands_out() -> None:
    ready = Ready({})
    _lane(ready, 20_000)
    CountingDeque.touched = 0
    assert len(ready.pick((), lambda lane: True, 10)) == 10
    assert CountingDeque.touched <= 12


def test_leasing_with_many_returned_jobs_looks_at_few_of_them() -> None:
    ready = Ready({})
    lane = _lane(ready, 10_000)
    for _ in range(5_000):  # as after a worker was lost with all of these
        job = lane.fifo.popleft()
        job.delivery = 1
        ready.add(job)
    CountingDeque.touched = 0
    assert [job.ordinal for job in ready.pick((), lambda lane: True, 10)] == list(range(1, 11))
    assert CountingDeque.touched <= 12
    assert lane.returned is not None
    assert len(lane.returned) == 5_000


def test_lanes_that_do_not_fit_are_not_looked_into() -> None:
    ready = Ready({})
    _lane(ready, 10_000)
    CountingDeque.touched = 0
    assert ready.pick((), lambda lane: False, 10) == []
    assert CountingDeque.touched == 0


def test_many_lanes_cost_one_look_each() -> None:
    ready = Ready({})
    for n in range(1, 1_001):
        ready.add(Job(job_id(n), options(key=f"k{n}"), b"", n, 0.0))
    assert [job.ordinal for job in ready.pick((), lambda lane: True, 3)] == [1, 2, 3]


def test_an_entry_whose_job_moved_on_goes_when_it_reaches_the_head() -> None:
    ready = Ready({})
    lane = _lane(ready, 5)
    jobs = list(lane.fifo)
    for job in (jobs[1], jobs[2]):
        job.phase = object()  # type: ignore[assignment]  # anything that is not PENDING
    lane.trim()
    assert len(lane.fifo) == 5
    jobs[0].phase = object()  # type: ignore[assignment]
    lane.trim()
    assert [job.ordinal for job in lane.fifo] == [4, 5]
    assert all(job.phase is PENDING for job in lane.fifo)
