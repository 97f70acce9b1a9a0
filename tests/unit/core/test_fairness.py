"""Tenants of a queue take turns."""

from collections import Counter

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.storage.snapshot import read_snapshot, write_snapshot
from tests.ledger import Ledger, number_of
from tests.records import options, spec, worker


def crowd(ledger: Ledger, tenant: str, first: int, count: int) -> None:
    ledger.enqueue([spec(n, fair_key=tenant) for n in range(first, first + count)])


def leased(ledger: Ledger, want: int) -> list[int]:
    """The numbers of jobs that are leased in one go."""
    grants = ledger.lease(want)
    return [number_of(grant.id) for grant in grants]


def test_tenants_take_turns_whoever_came_first() -> None:
    ledger = Ledger()
    crowd(ledger, "a", 1, 5)
    crowd(ledger, "b", 11, 2)
    crowd(ledger, "c", 21, 1)
    assert ledger.order() == [1, 11, 21, 2, 12, 3, 4, 5]


def test_one_job_waits_for_one_turn_of_a_tenant_with_a_million() -> None:
    ledger = Ledger()
    crowd(ledger, "big", 1, 9_000)
    for _ in range(5):
        leased(ledger, 100)
    crowd(ledger, "small", 900_000, 1)
    assert 900_000 in leased(ledger, 2)


@pytest.mark.parametrize("portion", [1, 2, 7])
def test_turns_go_on_from_lease_to_lease(portion: int) -> None:
    ledger = Ledger()
    crowd(ledger, "a", 1, 50)
    crowd(ledger, "b", 101, 50)
    seen = [n for _ in range(42 // portion) for n in leased(ledger, portion)]
    shares = Counter("a" if n < 100 else "b" for n in seen)
    assert abs(shares["a"] - shares["b"]) <= 1


def test_weights_are_kept_to_exactly() -> None:
    ledger = Ledger()
    ledger.do(commands.Configure("q", weights={"gold": 3.0}))
    crowd(ledger, "gold", 1, 100)
    crowd(ledger, "plain", 1001, 100)
    seen = [n for _ in range(20) for n in leased(ledger, 4)]
    assert Counter(n < 1000 for n in seen) == {True: 60, False: 20}


def test_weights_may_change_while_jobs_wait() -> None:
    ledger = Ledger()
    crowd(ledger, "a", 1, 100)
    crowd(ledger, "b", 1001, 100)
    leased(ledger, 10)
    ledger.do(commands.Configure("q", weights={"a": 9.0}))
    seen = leased(ledger, 100)
    assert 88 <= sum(n < 1000 for n in seen) <= 92


def test_turns_are_not_saved_up() -> None:
    ledger = Ledger()
    crowd(ledger, "a", 1, 100)
    leased(ledger, 50)
    crowd(ledger, "late", 1001, 100)
    seen = leased(ledger, 20)
    assert sum(n > 1000 for n in seen) == 10


def test_jobs_without_a_key_are_one_tenant() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 4)])
    crowd(ledger, "a", 11, 3)
    assert ledger.order() == [1, 11, 2, 12, 3, 13]


def test_priority_goes_before_fairness() -> None:
    ledger = Ledger()
    shared = [options(priority=9), options(priority=1)]
    jobs = [spec(n, 0, fair_key="a") for n in (1, 2, 3)] + [spec(9, 1, fair_key="b")]
    ledger.enqueue(jobs, *shared)
    assert ledger.order() == [1, 2, 3, 9]


def test_a_job_that_comes_back_keeps_its_place_with_its_tenant() -> None:
    ledger = Ledger()
    crowd(ledger, "a", 1, 3)
    crowd(ledger, "b", 11, 3)
    first = ledger.lease(2)
    ledger.end(first[0], OutcomeKind.RELEASED)
    ledger.end(first[1], OutcomeKind.RELEASED)
    assert ledger.order() == [1, 11, 2, 12, 3, 13]


def test_cancelled_jobs_take_no_turn() -> None:
    ledger = Ledger()
    crowd(ledger, "a", 1, 3)
    crowd(ledger, "b", 11, 3)
    ledger.cancel(1, 2, 3)
    assert ledger.order() == [11, 12, 13]
    crowd(ledger, "a", 21, 1)
    assert set(ledger.order()) == {21, 11, 12, 13}


def test_lanes_that_a_worker_cannot_serve_do_not_stop_its_turns() -> None:
    ledger = Ledger()
    shared = [options(key="k1"), options()]
    ledger.enqueue([spec(1, 0, fair_key="a"), spec(2, 1, fair_key="a"), spec(3, 1)], *shared)
    assert set(ledger.order(info=worker())) == {2, 3}


def test_many_tenants_cost_what_is_handed_out() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n, fair_key=f"t{n % 1000}") for n in range(1, 5001)])
    seen = leased(ledger, 1000)
    assert len({n % 1000 for n in seen}) == 1000
    assert len({n % 1000 for n in leased(ledger, 1000)}) == 1000
    lane = next(iter(next(iter(ledger.state.ready.queues["q"].levels.values())).values()))
    assert len(lane.ring) <= 2 * 1000 + 64


def test_order_and_turns_survive_a_snapshot_as_far_as_they_matter() -> None:
    ledger = Ledger()
    ledger.do(commands.Configure("q", weights={"a": 2.0}))
    crowd(ledger, "a", 1, 6)
    crowd(ledger, "b", 11, 3)
    again = read_snapshot(write_snapshot(ledger.state))
    picked = again.ready.pick((), lambda lane: True, 6)
    assert Counter(job.conditions.fair_key for job in picked) == {"a": 4, "b": 2}


def test_weights_that_are_none_are_refused() -> None:
    ledger = Ledger()
    for weight in (0.0, -1.0, 0.09, 1001.0, float("nan"), float("inf")):
        with pytest.raises(InvalidOption, match="weights"):
            ledger.do(commands.Configure("q", weights={"a": weight}))


def test_a_lane_of_tenants_does_not_stand_behind_the_backlog_of_another() -> None:
    ledger = Ledger()
    shared = [options(), options(queue="other")]
    ledger.enqueue([spec(n, 1) for n in range(1, 1001)], *shared)
    crowd(ledger, "a", 2001, 2)
    crowd(ledger, "b", 3001, 2)
    assert {2001, 3001} <= set(ledger.order(want=6))
