"""Limits in the dispatcher: what they let through, and that they hold nobody else."""

from itertools import pairwise
from typing import Any

import pytest

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest, LimitConflict
from taskqueue_ray.core.exchange import OutcomeKind, Permit
from taskqueue_ray.core.limits import look
from taskqueue_ray.core.meters import LimitRule
from taskqueue_ray.core.model import Use
from tests.ledger import Ledger, facts, number_of
from tests.records import START, job_id, options, spec, worker

MANY = worker(concurrency=1000)


def rate(ledger: Ledger, name: str, n: int, per: float = 10.0, key: str = "", **given: Any) -> bool:
    news: bool = ledger.do(commands.SetLimit(name, LimitRule("rate", n, per, **given), key))
    return news


def at_a_time(ledger: Ledger, name: str, n: int, key: str = "") -> bool:
    news: bool = ledger.do(commands.SetLimit(name, LimitRule("concurrency", n), key))
    return news


def under(*uses: str | Use) -> dict[str, Any]:
    return {"limits": tuple(Use(one) if isinstance(one, str) else one for one in uses)}


def lease(ledger: Ledger, want: int = 1000, **info: Any) -> list[int]:
    return [number_of(one.id) for one in ledger.lease(want, worker(concurrency=1000, **info))]


def complete(ledger: Ledger, *numbers: int) -> None:
    for number in numbers:
        job = ledger.job(number)
        ledger.end(_grant(job))


def _grant(job: Any) -> Any:
    from tests.ledger import grant_of

    return grant_of(job)


# --- rates ------------------------------------------------------------------------------------


def test_never_more_than_n_in_any_window_and_all_of_n() -> None:
    ledger = Ledger()
    rate(ledger, "api", 3, 10.0)
    ledger.enqueue([spec(n, **under("api")) for n in range(1, 20)])
    assert lease(ledger, 2) == [1, 2]
    ledger.now += 4
    assert lease(ledger) == [3]
    ledger.now += 5.99
    assert lease(ledger) == []
    ledger.now += 0.02
    assert lease(ledger) == [4, 5]
    ledger.now += 4
    assert lease(ledger) == [6]


def test_a_limit_that_nobody_has_set_is_open() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n, **under("api")) for n in range(1, 4)])
    assert lease(ledger) == [1, 2, 3]


def test_one_meter_for_all_queues_and_priorities() -> None:
    ledger = Ledger()
    rate(ledger, "api", 3)
    shared = [options(queue="a"), options(queue="b", priority=9)]
    ledger.enqueue([spec(n, n % 2, **under("api")) for n in range(1, 6)], *shared)
    assert lease(ledger, queues=("a",)) == [2, 4]
    assert lease(ledger) == [1]
    assert lease(ledger) == []


def test_units() -> None:
    ledger = Ledger()
    rate(ledger, "api", 5)
    ledger.enqueue([spec(1, **under(Use("api", 3))), spec(2, **under(Use("api", 2)))])
    ledger.enqueue([spec(3, **under("api"))])
    assert lease(ledger) == [1, 2]


def test_a_job_that_wants_much_is_not_overtaken_for_ever() -> None:
    ledger = Ledger()
    rate(ledger, "api", 4)
    shared = [options(), options(queue="other", priority=1)]
    ledger.enqueue([spec(n, 1, **under("api")) for n in range(100, 120)], *shared)
    assert lease(ledger, 2) == [100, 101]
    ledger.enqueue([spec(1, 0, **under(Use("api", 4)))], *shared)
    for _ in range(20):
        ledger.now += 1
        if 1 in lease(ledger):
            break
    else:
        pytest.fail("what wants four at once never came")
    assert ledger.now < START + 12
    ledger.now += 10
    assert lease(ledger) == [102, 103, 104, 105]


def test_a_better_one_does_not_wait_behind_one_that_wants_much() -> None:
    ledger = Ledger()
    rate(ledger, "api", 4)
    ledger.enqueue([spec(1, **under("api"))])
    assert lease(ledger) == [1]
    ledger.enqueue([spec(2, **under(Use("api", 4)))])
    assert lease(ledger) == []
    ledger.enqueue([spec(3, **under("api"))], options(priority=50))
    ledger.enqueue([spec(4, **under("api"))], options(priority=1))
    assert lease(ledger) == [3]


def test_a_key_has_a_meter_of_its_own_and_may_have_a_rule_of_its_own() -> None:
    ledger = Ledger()
    rate(ledger, "api", 1)
    rate(ledger, "api", 2, key="gold")
    keys = ["", "a", "b", "gold", "", "a", "b", "gold", "gold"]
    jobs = [spec(n, **under(Use("api", 1, key))) for n, key in enumerate(keys, 1)]
    ledger.enqueue(jobs)
    assert lease(ledger) == [1, 2, 3, 4, 8]


def test_meters_of_keys_go_when_nothing_of_them_counts() -> None:
    ledger = Ledger()
    rate(ledger, "api", 1)
    ledger.enqueue([spec(n, **under(Use("api", 1, f"k{n}"))) for n in range(1, 101)])
    assert len(lease(ledger)) == 100
    assert len(ledger.state.limits.meters["api"]) == 100
    ledger.now += 10
    ledger.enqueue([spec(101, **under("api"))])
    assert lease(ledger) == [101]
    assert list(ledger.state.limits.meters["api"]) == [""]


def test_all_limits_of_a_job_or_none() -> None:
    ledger = Ledger()
    rate(ledger, "a", 1, 10.0)
    rate(ledger, "b", 2, 30.0)
    ledger.enqueue([spec(n, **under("a", "b")) for n in range(1, 5)])
    ledger.enqueue([spec(n, **under("b")) for n in range(5, 8)])
    ledger.enqueue([spec(n, **under("a")) for n in range(8, 10)])
    assert lease(ledger) == [1, 5]
    ledger.now += 10
    assert lease(ledger) == [8]  # those of both hold no "a" while they wait for "b"
    ledger.now += 20
    assert lease(ledger) == [2, 6]


def test_smooth_spreads_and_makes_up_for_little() -> None:
    ledger = Ledger()
    rate(ledger, "api", 10, 10.0, smooth=True)
    ledger.enqueue([spec(n, **under("api")) for n in range(1, 40)])
    started = []
    for _ in range(100):
        started += [(ledger.now - START, number) for number in lease(ledger)]
        ledger.now += 0.1
    times = [at for at, _ in started]
    assert len(times) == 10
    assert all(0.99 < b - a < 1.21 for a, b in pairwise(times))


def test_a_change_counts_what_was_used() -> None:
    ledger = Ledger()
    rate(ledger, "api", 2)
    ledger.enqueue([spec(n, **under("api")) for n in range(1, 10)])
    assert lease(ledger) == [1, 2]
    assert rate(ledger, "api", 5)
    assert lease(ledger) == [3, 4, 5]
    assert rate(ledger, "api", 1)
    ledger.now += 9
    assert lease(ledger) == []
    ledger.do(commands.DeleteLimit("api", "rate"))
    assert lease(ledger) == [6, 7, 8, 9]


def test_what_a_lowered_limit_never_has_counts_as_all_of_it() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(1, **under(Use("api", 5))), spec(2, **under("api"))])
    rate(ledger, "api", 2)
    assert lease(ledger) == [1]
    ledger.now += 10
    assert lease(ledger) == [2]


# --- concurrency ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [OutcomeKind.COMPLETED, OutcomeKind.ERRORED, OutcomeKind.RELEASED, OutcomeKind.SNOOZED]
)
def test_a_place_comes_back_however_the_lease_ends(kind: OutcomeKind) -> None:
    ledger = Ledger()
    at_a_time(ledger, "gpu", 2)
    ledger.enqueue([spec(n, **under("gpu")) for n in range(1, 5)], options(max_attempts=1))
    assert lease(ledger) == [1, 2]
    assert lease(ledger) == []
    due = {"due": ledger.now + 1e6} if kind is OutcomeKind.SNOOZED else {}
    ledger.end(_grant(ledger.job(1)), kind, **due)
    assert lease(ledger) == [1 if kind is OutcomeKind.RELEASED else 3]
    assert lease(ledger) == []


def test_a_place_comes_back_from_a_worker_that_vanished() -> None:
    ledger = Ledger()
    at_a_time(ledger, "gpu", 1)
    ledger.enqueue([spec(n, **under("gpu")) for n in range(1, 3)])
    assert lease(ledger) == [1]
    ledger.lose()
    assert lease(ledger) == [1]


def test_a_limit_set_late_counts_who_runs() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n, **under("gpu")) for n in range(1, 6)])
    assert lease(ledger, 2) == [1, 2]
    at_a_time(ledger, "gpu", 3)
    assert lease(ledger) == [3]
    complete(ledger, 1, 2)
    assert lease(ledger) == [4, 5]


def test_per_key() -> None:
    ledger = Ledger()
    at_a_time(ledger, "user", 1)
    jobs = [spec(n, **under(Use("user", 1, "ab"[n % 2]))) for n in range(1, 7)]
    ledger.enqueue(jobs)
    assert lease(ledger) == [1, 2]
    complete(ledger, 1)
    assert lease(ledger) == [3]


def test_per_queue_and_per_type_whatever_the_job_says() -> None:
    ledger = Ledger()
    shared = [options(queue="a"), options(queue="b", type="x"), options(queue="b", type="y")]
    ledger.enqueue([spec(n, n % 3) for n in range(1, 10)], *shared)
    ledger.do(commands.Configure("a", concurrency=1))
    at_a_time(ledger, "type:x", 2)
    ledger.enqueue([spec(n, n % 3) for n in range(10, 13)], *shared)
    assert lease(ledger) == [1, 2, 3, 4, 5, 8, 11]
    complete(ledger, 3, 1)
    assert lease(ledger) == [6, 7]
    ledger.do(commands.Configure("a", concurrency=None))
    ledger.do(commands.DeleteLimit("type:x", "concurrency"))
    assert lease(ledger) == [9, 10, 12]


def test_no_more_in_hand_than_the_worker_can_start() -> None:
    ledger = Ledger()
    ledger.enqueue([spec(n, **under("api")) for n in range(1, 9)])
    ledger.enqueue([spec(n) for n in range(9, 12)])
    found = [number_of(one.id) for one in ledger.lease(100, worker(concurrency=3))]
    assert found == [1, 2, 3, 9, 10, 11]
    complete(ledger, 2)
    assert [number_of(one.id) for one in ledger.lease(100, worker(concurrency=3))] == [4]


# --- throttles --------------------------------------------------------------------------------


def test_a_throttle_closes_a_limit_for_a_time() -> None:
    ledger = Ledger()
    rate(ledger, "api", 100)
    ledger.enqueue([spec(n, **under(Use("api", 1, "ab"[n % 2]))) for n in range(1, 5)])
    ledger.do(commands.Throttle("api", 30.0, "a"))
    assert lease(ledger) == [1, 3]
    assert ledger.do(commands.Throttle("api", 5.0)) == ledger.now + 5
    ledger.now += 5
    assert lease(ledger) == []
    ledger.now += 25
    assert lease(ledger) == [2, 4]
    ledger.do(commands.Throttle("other", 30.0))
    ledger.enqueue([spec(9, **under("other"))])
    assert lease(ledger) == []
    ledger.do(commands.Throttle("other", 0.0))
    assert lease(ledger) == [9]


# --- permits ----------------------------------------------------------------------------------


def test_permits_count_like_starts() -> None:
    ledger = Ledger()
    rate(ledger, "api", 2)
    ledger.enqueue([spec(n, **under("api")) for n in range(1, 4)])
    assert ledger.do(commands.Acquire("api")) == Permit(True, START)
    assert lease(ledger) == [1]
    assert ledger.do(commands.Acquire("api")) == Permit(False, START + 10)
    assert ledger.do(commands.Acquire("unset", 5)) == Permit(True, START)


# --- others, and the order --------------------------------------------------------------------


def test_who_is_under_no_limit_does_not_wait() -> None:
    ledger = Ledger()
    rate(ledger, "api", 1)
    ledger.enqueue([spec(n, **(under("api") if n % 2 else {})) for n in range(1, 9)])
    assert lease(ledger, 4) == [1, 2, 4, 6]
    assert lease(ledger, 4) == [8]


def test_by_age_within_a_priority_with_or_without_limits() -> None:
    ledger = Ledger()
    rate(ledger, "a", 100)
    gates = [{}, under("a"), under("b"), under("a", "b")]
    ledger.enqueue([spec(n, **gates[n % 4]) for n in range(1, 20)])
    assert lease(ledger) == list(range(1, 20))


def test_tenants_take_turns_under_a_limit() -> None:
    ledger = Ledger()
    rate(ledger, "api", 4)
    jobs = [spec(n, fair_key="a" if n < 9 else "b", **under("api")) for n in range(1, 13)]
    ledger.enqueue(jobs)
    assert lease(ledger) == [1, 9, 2, 10]


def test_pauses_and_cancellations_go_before() -> None:
    ledger = Ledger()
    rate(ledger, "api", 2)
    shared = [options(tags=("x",)), options(queue="p")]
    ledger.enqueue([spec(n, n % 2, **under("api")) for n in range(1, 9)], *shared)
    ledger.do(commands.Pause("tag", "x"))
    ledger.do(commands.Pause("queue", "p"))
    assert lease(ledger) == []
    ledger.do(commands.Resume("tag", "x"))
    ledger.cancel(2, 4)
    assert lease(ledger) == [6, 8]
    ledger.now += 10
    ledger.do(commands.Resume("queue", "p"))
    assert lease(ledger) == [1, 3]


def test_the_next_opening_is_known() -> None:
    ledger = Ledger()
    gates = ledger.state.ready.gates
    rate(ledger, "api", 1, 10.0)
    ledger.enqueue([spec(n, **under("api")) for n in range(1, 4)])
    assert gates.next_opening(ledger.now) is None
    lease(ledger)
    lease(ledger)
    assert gates.next_opening(ledger.now) == START + 10
    ledger.do(commands.Throttle("api", 60.0))
    ledger.now += 10
    assert gates.next_opening(ledger.now) == START + 60


def test_a_hundred_thousand_keys_behind_one_limit_cost_no_search() -> None:
    ledger = Ledger()
    rate(ledger, "all", 10, 1.0)
    rate(ledger, "each", 1, 1.0)
    count = 10_000
    jobs = [spec(n, **under("all", Use("each", 1, f"k{n}"))) for n in range(1, count)]
    ledger.enqueue(jobs)
    lease(ledger)
    lease(ledger)  # the others stand at "all" from now on
    gates = ledger.state.ready.gates
    (place,) = gates.all_places()
    for turn in range(2, 6):
        assert len(list(place.open)) <= 20
        ledger.now += 1.0
        assert lease(ledger)[-1] == turn * 10


# --- durability -------------------------------------------------------------------------------


def test_recovered_equals_live_and_goes_on_the_same() -> None:
    ledger = Ledger()
    rate(ledger, "api", 3)
    rate(ledger, "slow", 3, smooth=True)
    at_a_time(ledger, "gpu", 2)
    ledger.do(commands.Configure("q", concurrency=5))
    gates = [under("api"), under("gpu"), under("slow"), under(Use("api", 2, "k"))]
    ledger.enqueue([spec(n, **gates[n % 4]) for n in range(1, 30)])
    lease(ledger)
    ledger.do(commands.Throttle("gpu", 3.0, "k"))
    ledger.do(commands.Acquire("api", 1, "other"))
    again = Ledger()
    again.state, again.now = ledger.replayed(), ledger.now
    assert facts(again.state) == facts(ledger.state)
    for one in (ledger, again):
        one.lose()
    for _ in range(30):
        assert lease(again) == lease(ledger)
        for one in (ledger, again):
            one.lose()
            one.now += 1.7


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (commands.SetLimit("api", LimitRule("rate", 0, 1.0)), InvalidOption),
        (commands.SetLimit("api", LimitRule("rate", -1, 1.0)), InvalidOption),
        (commands.SetLimit("api", LimitRule("rate", 1, -1.0)), InvalidOption),
        (commands.SetLimit("api", LimitRule("rate", 1, float("nan"))), InvalidOption),
        (commands.SetLimit("api", LimitRule("rate", 1, 0.0)), InvalidOption),
        (commands.SetLimit("api", LimitRule("concurrency", -2)), InvalidOption),
        (commands.SetLimit("A b", LimitRule("rate", 1, 1.0)), InvalidOption),
        (commands.SetLimit("queue:q", LimitRule("concurrency", 1)), InvalidOption),
        (commands.SetLimit("type:t", LimitRule("rate", 1, 1.0)), InvalidOption),
        (commands.SetLimit("type:t", LimitRule("concurrency", 1), "k"), InvalidOption),
        (commands.SetLimit("gpu", LimitRule("rate", 1, 1.0)), LimitConflict),
        (commands.SetLimit("gpu", LimitRule("rate", 1, 1.0), "k"), LimitConflict),
        (commands.SetLimit("calls", LimitRule("concurrency", 1)), LimitConflict),
        (commands.DeleteLimit("gpu", "rate"), LimitConflict),
        (commands.Throttle("calls", -1.0), InvalidOption),
        (commands.Throttle("calls", float("inf")), InvalidOption),
        (commands.Acquire("calls", 0), InvalidOption),
        (commands.Acquire("calls", 3), InvalidOption),
        (commands.Acquire("gpu", 1), LimitConflict),
        (commands.Configure("q", concurrency=0), InvalidOption),
    ],
)
def test_refused_before_anything_is_stored(command: Any, error: type[Exception]) -> None:
    ledger = Ledger()
    rate(ledger, "calls", 2)
    at_a_time(ledger, "gpu", 2)
    before = len(ledger.commits)
    with pytest.raises(error):
        ledger.do(command)
    assert len(ledger.commits) == before


@pytest.mark.parametrize(
    "limits",
    [
        (Use("calls"), Use("calls", 1, "k")),
        (Use("Bad Name"),),
        (Use("calls", 0),),
        (Use("calls", 3),),
        (Use("calls", 1, "x" * 500),),
        tuple(Use(f"l{n}") for n in range(17)),
    ],
)
def test_jobs_that_no_limit_could_let_through_are_refused(limits: tuple[Use, ...]) -> None:
    ledger = Ledger()
    rate(ledger, "calls", 2)
    with pytest.raises(InvalidRequest):
        ledger.enqueue([spec(1, limits=limits)])
    assert job_id(1) not in ledger.state.jobs


def test_a_repeat_is_the_same_job_although_the_limit_was_lowered() -> None:
    ledger = Ledger()
    jobs = [spec(1, **under(Use("api", 3)))]
    ledger.enqueue(jobs)
    rate(ledger, "api", 2)
    assert ledger.enqueue(jobs).known == [0]


def test_a_look() -> None:
    ledger = Ledger()
    rate(ledger, "api", 5)
    at_a_time(ledger, "gpu", 2)
    ledger.enqueue([spec(1, **under("api", "gpu"))])
    lease(ledger)
    ledger.do(commands.Throttle("extern", 5.0, "k"))
    api, gpu, extern = look(ledger.state, ledger.now)
    assert (api.name, api.kind, api.n, api.per, api.used, api.keys) == (
        "api",
        "rate",
        5,
        10.0,
        1,
        1,
    )
    assert (gpu.kind, gpu.used, gpu.keys) == ("concurrency", 1, 1)
    assert (extern.kind, extern.key, extern.until) == ("throttle", "k", START + 5)
