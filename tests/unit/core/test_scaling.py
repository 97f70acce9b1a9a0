"""The scaling policy on traces: enough workers in time, no flapping, no busy worker stopped."""

import math
import random

import pytest

from taskqueue_ray.core.demand import Demand
from taskqueue_ray.core.pool import PLAIN, Pool
from taskqueue_ray.core.scaling import LONGEST_PAUSE, Member, Scaler
from taskqueue_ray.core.shape import Shape
from tests.unit.core.fleet_trace import Trace

POOL = Pool("p", maximum=20, concurrency=2, target_wait=10.0, cool_down=30.0)
GPU = Shape(num_gpus=1.0)


def steady(rate: float, seconds: float, until: float) -> list[tuple[float, float]]:
    return [(n / rate, seconds) for n in range(int(until * rate))]


def test_a_steady_load_settles_and_stays() -> None:
    trace = Trace(POOL, steady(4.0, 1.0, 600.0)).run(600.0)
    late = [workers for at, _, workers in trace.counts if at > 120.0]
    assert max(trace.waits) < POOL.target_wait
    assert max(late) - min(late) <= 1
    assert min(late) >= 2, "4 jobs a second of 1 s keep 4 executors busy"
    assert max(late) <= 4
    assert trace.turns() <= 1
    assert not trace.stopped_busy


def test_a_burst_is_worked_off_in_time_and_leaves_nobody() -> None:
    trace = Trace(POOL, [(5.0, 1.0)] * 300).run(150.0)
    assert len(trace.waits) == 300
    assert max(trace.waits) < 2.5 * POOL.target_wait
    assert trace.counts[-1][2] == 0, "to zero"
    assert trace.turns() == 0
    assert not trace.stopped_busy


def test_the_first_worker_is_started_at_the_first_look() -> None:
    plan = Scaler(POOL).plan([Demand(PLAIN, 1, 0.0)], [], 0.0)
    assert plan.start == [(PLAIN, 1)]


def test_a_day_has_one_rise_and_one_fall() -> None:
    chance = random.Random(7)
    jobs = [
        (float(second), 1.0)
        for second in range(3600)
        for _ in range(int(chance.random() < 0.5) + round(8 * math.sin(math.pi * second / 3600)))
    ]
    trace = Trace(POOL, jobs).run(3700.0)
    assert len(trace.waits) == len(jobs)
    assert max(trace.waits) < POOL.target_wait
    assert trace.most <= 8, "9 jobs a second need 5 workers"
    assert trace.turns() <= 8
    assert trace.counts[-1][2] == 0
    assert not trace.stopped_busy


def test_one_huge_job_does_not_hold_up_the_others_for_long() -> None:
    pool = Pool("p", maximum=5, concurrency=1, target_wait=10.0, cool_down=30.0)
    jobs = [
        *steady(0.5, 0.5, 100.0),
        (100.0, 900.0),
        *((t + 101.0, s) for t, s in steady(0.5, 0.5, 60.0)),
    ]
    trace = Trace(pool, jobs).run(400.0)
    assert len(trace.waits) == len(jobs)
    assert max(trace.waits) < 1.5 * pool.target_wait
    assert trace.counts[-1][2] == 1, "the one that runs it, and no other"
    assert not trace.stopped_busy


def test_workers_that_come_up_slowly_are_not_asked_for_twice() -> None:
    trace = Trace(POOL, [(0.0, 5.0)] * 20, start_up=60.0).run(200.0)
    assert len(trace.waits) == 20
    assert len(trace.starts) <= 10, "20 jobs of 2 to a worker"
    assert trace.turns() == 0


def test_failures_back_off_and_are_forgotten_with_the_first_that_comes_up() -> None:
    broken = Trace(POOL, [(0.0, 1.0)] * 50, fails=lambda now: "bad" if now < 300.0 else "")
    broken.run(300.0)
    assert len(broken.starts) <= 12, "1, 2, 4, ... seconds apart"
    whole = Trace(POOL, [(0.0, 1.0)] * 50, fails=lambda now: "bad" if now < 20.0 else "")
    whole.run(200.0)
    assert len(whole.waits) == 50


def test_the_pause_has_an_end() -> None:
    scaler = Scaler(POOL)
    for _ in range(30):
        trouble = scaler.failed("", "it cannot", 0.0)
    assert (trouble.retry_at, trouble.failures) == (LONGEST_PAUSE, 30)
    [row] = scaler.staff({"": 2}, [], 0.0)
    assert (row.problem, row.failures, row.retry_in) == ("it cannot", 30, LONGEST_PAUSE)
    scaler.came_up("")
    assert scaler.staff({"": 2}, [], 0.0)[0].failures == 0


def ready(name: str, shape: str = "", jobs: int = 0) -> Member:
    return Member(name, shape, "ready", jobs)


def test_a_busy_worker_is_never_retired() -> None:
    scaler = Scaler(POOL)
    members = [ready("a", jobs=1), ready("b"), ready("c", jobs=2)]
    for now in range(100):
        plan = scaler.plan([Demand(PLAIN, 0, 0.0, 10, 1.0)], members, float(now))
        assert set(plan.retire) <= {"b"}
        assert not plan.drain


def test_min_stays_and_max_is_never_passed() -> None:
    pool = Pool("p", minimum=2, maximum=3)
    scaler = Scaler(pool)
    assert scaler.plan([], [], 0.0).start == [(PLAIN, 2)]
    members = [ready("a", jobs=1), ready("b", jobs=1)]
    for now in range(1, 10):
        plan = scaler.plan([Demand(PLAIN, 500, 60.0)], members, float(now))
        assert sum(count for _, count in plan.start) <= 1
    idle = [ready("a"), ready("b"), ready("c")]
    plans = [scaler.plan([], idle, 100.0 + now) for now in range(200)]
    assert max(len(plan.retire) for plan in plans) == 1


def test_each_shape_has_its_workers() -> None:
    scaler = Scaler(Pool("p", maximum=4, concurrency=8))
    plan = scaler.plan([Demand(PLAIN, 8, 1.0), Demand(GPU, 2, 2.0)], [], 0.0)
    assert {shape.text: count for shape, count in plan.start} == {"num_gpus=1": 1, "": 1}


def test_a_shape_that_no_node_can_hold_takes_no_place() -> None:
    scaler = Scaler(Pool("p", maximum=1))
    stuck = Member("x", GPU.text, "starting", 0, impossible=True)
    plan = scaler.plan([Demand(PLAIN, 1, 0.0), Demand(GPU, 3, 99.0)], [stuck], 0.0)
    assert plan.start == [(PLAIN, 1)]
    assert not plan.retire


def test_a_starved_shape_gets_a_place_of_a_busy_one_which_finishes_first() -> None:
    scaler = Scaler(Pool("p", maximum=2, target_wait=10.0, cool_down=30.0))
    busy = [ready("a", jobs=1), ready("b", jobs=1)]
    fresh = scaler.plan([Demand(PLAIN, 50, 9.0), Demand(GPU, 1, 1.0)], busy, 0.0)
    assert (fresh.start, fresh.retire, fresh.drain) == ([], [], [])
    late = scaler.plan([Demand(PLAIN, 50, 9.0), Demand(GPU, 1, 9.0)], busy, 1.0)
    assert len(late.drain) == 1
    assert not late.retire
    again = scaler.plan([Demand(PLAIN, 50, 9.0), Demand(GPU, 1, 9.5)], busy, 2.0)
    assert not again.drain, "one after the other"


def test_a_starved_shape_gets_an_idle_place_at_once() -> None:
    scaler = Scaler(Pool("p", maximum=1))
    plan = scaler.plan([Demand(GPU, 1, 0.0)], [ready("a")], 0.0)
    assert plan.retire == ["a"]


@pytest.mark.parametrize("suspended", [True, False])
def test_a_suspended_pool_and_a_changed_one_let_their_workers_finish(suspended: bool) -> None:
    scaler = Scaler(Pool("p", suspended=suspended))
    old = Member("old", "", "ready", 1, current=False)
    plan = scaler.plan([Demand(PLAIN, 9, 0.0)], [old, ready("new", jobs=1)], 0.0)
    assert plan.drain == (["old", "new"] if suspended else ["old"])
    assert bool(plan.start) is not suspended
    assert not plan.retire


def test_work_goes_on_beside_workers_that_get_no_jobs() -> None:
    """Their node was cordoned: the busy finish, the idle go where there are jobs to be had."""
    pool = Pool("p", minimum=2, maximum=2)
    busy = Member("busy", "", "ready", jobs=1, barred=True)
    idle = Member("idle", "", "ready", barred=True)
    plan = Scaler(pool).plan([Demand(PLAIN, 5, 0.0)], [busy, idle], 0.0)
    assert plan.start == [(PLAIN, 2)], "as many as the pool is to have, over and above those"
    assert (plan.retire, plan.drain, list(plan.move)) == ([], [], ["idle"])
