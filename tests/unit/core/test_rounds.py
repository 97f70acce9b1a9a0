"""Tenants of one queue take turns across its lanes and limits too."""

from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import Use
from tests.ledger import Ledger, facts, grant_of, number_of
from tests.records import options, spec, worker

MANY = worker(concurrency=1000)


def crowd(ledger: Ledger, first: int, count: int, *uses: str, **given: Any) -> None:
    """Jobs of one tenant, named by the first of them, under these limits."""
    limits = tuple(Use("api", 1, use) for use in uses)
    shared = options(**{name: given[name] for name in ("python", "queue") if name in given})
    key = given.get("key", f"tenant {first}")
    jobs = [spec(n, fair_key=key, limits=limits) for n in range(first, first + count)]
    ledger.enqueue(jobs, shared)


def one_by_one(ledger: Ledger, count: int, want: int = 1) -> list[int]:
    found = [ledger.lease(want, MANY) for _ in range(count)]
    return [number_of(grant.id) for grants in found for grant in grants]


def limit(ledger: Ledger, n: int = 1000) -> None:
    ledger.do(commands.SetLimit("api", LimitRule("concurrency", n)))


@pytest.mark.parametrize("want", [1, 2, 5])
@pytest.mark.parametrize(
    ("big", "small"),
    [
        (((), {}), ((), {"python": "3.11"})),
        (((), {"python": "3.11"}), ((), {})),
        ((("big",), {}), (("small",), {})),
        ((("",), {}), ((), {})),
        (((), {}), (("",), {})),
        ((("",), {}), (("",), {"python": "3.11"})),
    ],
)
def test_one_job_waits_for_one_turn_of_a_tenant_in_another_line(
    want: int, big: Any, small: Any
) -> None:
    ledger = Ledger()
    limit(ledger)
    crowd(ledger, 1, 200, *big[0], **big[1])
    one_by_one(ledger, 20, want)
    crowd(ledger, 1001, 1, *small[0], **small[1])
    assert 1001 in one_by_one(ledger, 3, want)


def test_a_line_with_many_tenants_has_a_turn_for_each() -> None:
    ledger = Ledger()
    for first in range(1000, 5000, 1000):
        crowd(ledger, first, 20)
    crowd(ledger, 9000, 20, python="3.11")
    seen = one_by_one(ledger, 50)
    assert sum(n >= 9000 for n in seen) == 10


def test_weights_count_between_lines() -> None:
    ledger = Ledger()
    limit(ledger)
    ledger.do(commands.Configure("q", weights={"gold": 3.0}))
    crowd(ledger, 1, 100, "a", key="gold")
    crowd(ledger, 1001, 100, "b", key="plain")
    assert sum(n < 1000 for n in one_by_one(ledger, 40)) == 30


def test_newcomers_do_not_hold_up_who_waits() -> None:
    ledger = Ledger()
    limit(ledger)
    crowd(ledger, 1, 50, "big")
    number = 1000
    seen: list[int] = []
    for _ in range(20):
        for tenant in ("a", "b"):
            number += 1
            ledger.enqueue([spec(number, fair_key=tenant, limits=(Use("api", 1, tenant),))])
        seen += one_by_one(ledger, 2)
    assert 10 <= sum(n < 1000 for n in seen) <= 20


def test_turns_are_not_saved_up_while_a_limit_is_closed() -> None:
    ledger = Ledger()
    limit(ledger, 1)
    crowd(ledger, 1, 50, "closed")
    crowd(ledger, 101, 100)
    one_by_one(ledger, 40)
    ledger.end(grant_of(ledger.job(1)))
    limit(ledger, 100)
    seen = one_by_one(ledger, 20)
    assert 9 <= sum(n < 100 for n in seen) <= 11


def test_queues_of_which_one_has_tenants_take_turns() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n) for n in range(1, 100)], options(queue="other"))
    crowd(ledger, 1001, 2)
    crowd(ledger, 2001, 2)
    assert {1001, 2001} <= set(one_by_one(ledger, 6))


def test_without_fair_keys_age_decides() -> None:
    ledger = Ledger()
    limit(ledger)
    for n in range(1, 31):
        uses = (Use("api", 1, str(n % 3)),) if n % 2 else ()
        ledger.enqueue([spec(n, limits=uses)], options(python="3.11" if n % 5 else None))
    assert one_by_one(ledger, 30) == list(range(1, 31))


def test_a_recovered_queue_takes_turns() -> None:
    ledger = Ledger()
    limit(ledger)
    crowd(ledger, 1, 50, "big")
    one_by_one(ledger, 10)
    state = ledger.replayed()
    assert facts(state) == facts(ledger.state)
    ledger.state = state
    crowd(ledger, 1001, 1, "small")
    assert 1001 in one_by_one(ledger, 3)


def test_a_line_whose_job_stands_back_for_its_key_takes_no_place() -> None:
    ledger = Ledger()
    limit(ledger, 1)
    ledger.enqueue([spec(1, limits=(Use("api"),))])
    assert one_by_one(ledger, 1) == [1]
    ledger.enqueue([spec(2, concurrency_key="k", limits=(Use("api"), Use("x")))])
    ledger.enqueue([spec(3, limits=(Use("api"), Use("y")))])
    assert one_by_one(ledger, 1) == []
    ledger.enqueue([spec(4, concurrency_key="k")], options(priority=9))
    assert one_by_one(ledger, 1) == [4]
    ledger.end(grant_of(ledger.job(1)))
    assert one_by_one(ledger, 1) == [3]
    ledger.end(grant_of(ledger.job(4)))
    ledger.end(grant_of(ledger.job(3)))
    assert one_by_one(ledger, 1) == [2]


@pytest.mark.parametrize("size", [1, 3, 7, 10, 49, 64])
def test_a_batch_is_as_large_as_it_may_be_and_no_larger(size: int) -> None:
    ledger = Ledger()
    limit(ledger)
    ledger.enqueue([spec(n, limits=(Use("api"),)) for n in range(1, 200)], options(batch=size))
    assert len(ledger.lease(1000, worker(concurrency=2))) == 2 * size
