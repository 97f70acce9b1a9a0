"""Pools as programs set them, and what the queue and a pool tell each other."""

import asyncio
import math
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.demand import LookReply, LookRequest, PoolLook, Staff
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.exchange import WorkRequest
from taskqueue_ray.core.nodes import NodeSight
from taskqueue_ray.core.pool import (
    Pool,
    Terms,
    check_pool,
    executors_of,
    footprint,
    parse_shapes,
)
from taskqueue_ray.core.shape import Shape
from tests.inprocess import Bench
from tests.records import worker
from tests.unit.sdk.jobs_for_tests import send

GPU: dict[str, Any] = {"executor": "process", "num_gpus": 0.5}


def look(bench: Bench, pool: PoolLook, **more: Any) -> Any:
    """A look of a pool, which may be held."""
    return bench.host.serve("look", encode(LookRequest([pool], **more)))


def seen(answer: Any) -> LookReply:
    return decode(answer.result(0), LookReply)


def test_a_pool_is_stored_and_changes_one_by_one(bench: Bench) -> None:
    pools = bench.q.pools
    pools.set("p", ["mail"], max=4, target_wait="20s", shapes=[{}, {"num_gpus": 0.5}])
    pools.set("p", concurrency=3)
    bench.fold()
    bench.restart()
    [found] = pools.list()
    pool = found.pool
    assert pool is not None
    assert (pool.queues, pool.maximum, pool.concurrency) == (("mail",), 4, 3)
    assert (pool.target_wait, pool.cool_down) == (20.0, 60.0)
    assert [shape.text for shape in pool.shapes or ()] == ["", "num_gpus=0.5"]
    assert pools.suspend("p")
    assert not pools.suspend("p")
    assert pools.list().rows()[0]["state"] == "suspended"
    assert pools.resume("p")
    assert asyncio.run(pools.adelete("p"))
    assert not pools.delete("p")
    bench.restart()
    assert not pools.list()


@pytest.mark.parametrize(
    "wrong",
    [
        {"min": 5, "max": 4}, {"max": 0}, {"min": -1}, {"concurrency": 0}, {"max": True},
        {"target_wait": 0}, {"cool_down": -1}, {"shapes": []}, {"shapes": "gpu"},
        {"shapes": [{"gpus": 1}]}, {"shapes": [{"num_gpus": 1.5}]}, {"queues": "mail"},
        {"queues": ["No Queue"]},
    ],
)  # fmt: skip
def test_what_is_no_pool_is_refused_and_not_stored(bench: Bench, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        bench.q.pools.set("p", **wrong)
    with pytest.raises(InvalidOption):
        bench.q.pools.set("No Name")
    assert not bench.q.pools.list()


@pytest.mark.parametrize(
    "wrong",
    [
        {"target_wait": math.nan}, {"cool_down": math.inf},
        {"shapes": (Shape(num_cpus=math.nan),)}, {"shapes": (Shape(memory=-1),)},
        {"shapes": (Shape(runtime_env="{"),)}, {"shapes": (Shape(resources=(("CPU", 1.0),)),)},
        {"terms": Terms(timeout=math.inf)}, {"terms": Terms(cancel_grace=-1.0)},
        {"terms": Terms(max_jobs=0)}, {"terms": Terms(log_level="loud")},
    ],
)  # fmt: skip
def test_what_no_worker_could_be_told_is_refused(wrong: dict[str, Any]) -> None:
    assert check_pool(Pool("p"))
    with pytest.raises(InvalidOption):
        check_pool(Pool("p", **wrong))


def test_demand_is_told_by_shape_and_queue(bench: Bench) -> None:
    for _ in range(3):
        _ = send.options(**GPU).enqueue("a")
    _ = send.options(priority=9).enqueue("a")
    _ = send.options(executor="actor", num_gpus=1).enqueue("a")
    _ = send.options(queue="other").enqueue("a")
    _ = send.options(delay="1h").enqueue("a")
    bench.advance(7.0)
    reply = seen(look(bench, PoolLook("x:1", ("mail",))))
    rows = {one.shape.text: (one.waiting, round(one.oldest)) for one in reply.demand["x:1"]}
    assert rows == {"num_gpus=0.5": (3, 7), "": (2, 7)}, "what runs in Ray needs a plain worker"


def test_jobs_that_a_limit_holds_are_no_demand(bench: Bench) -> None:
    """Else a pool would grow workers that have nothing to do."""
    bench.q.concurrency.set_limit("api", 2)
    for _ in range(5):
        _ = send.options(limits="api").enqueue("a")
    reply = seen(look(bench, PoolLook("x:1", ("mail",))))
    assert [one.waiting for one in reply.demand["x:1"]] == [2], "as many as may run"
    bench.host.serve("register", encode(worker(keys=(bench.sealer.key_id,))))
    bench.host.serve("work", encode(WorkRequest("w", 1, 0, [], [], [], 5)))
    reply = seen(look(bench, PoolLook("x:1", ("mail",))))
    assert sum(one.waiting for one in reply.demand["x:1"]) == 0, "both places are taken"
    held = look(bench, PoolLook("p", (), hungry=True), wait=10.0)
    bench.advance(1.0)
    assert not held.done(), "a pool without workers is not called for them"
    bench.q.concurrency.set_limit("api", 3)
    bench.advance(0.1)
    assert [one.waiting for one in seen(held).demand["p"]] == [1]


def test_a_rate_is_demand_as_far_as_it_has_units(bench: Bench) -> None:
    bench.q.rate_limiter.set_limit("api", 3, per="1m")
    for key in "abcd":
        _ = send.options(limits=tq.Limit("api", units=2, key=key)).enqueue("a")
    for _ in range(2):
        _ = send.options(limits=tq.Limit("api", units=2, key="a")).enqueue("b")
    reply = seen(look(bench, PoolLook("x:1", ("mail",))))
    assert [one.waiting for one in reply.demand["x:1"]] == [4], "one of each key"


def test_a_hungry_pool_hears_of_work_at_once_and_of_changes(bench: Bench) -> None:
    hungry = PoolLook("p", (), hungry=True)
    held = look(bench, hungry, detached=True, wait=10.0)
    bench.advance(1.0)
    assert not held.done()
    _ = send.enqueue("a")
    bench.advance(0.1)
    assert seen(held).demand["p"][0].waiting == 1
    bench.work()
    held = look(bench, hungry, detached=True, wait=10.0)
    bench.q.pools.set("p", max=3)
    bench.advance(0.1)
    assert [pool.maximum for pool in seen(held).pools] == [3]
    bench.advance(1.0)
    held = look(bench, hungry, detached=True, wait=10.0)
    bench.advance(10.1)
    assert held.done()


def test_only_an_idle_worker_is_let_go_and_it_gets_nothing_more(bench: Bench) -> None:
    key = (bench.sealer.key_id,)

    def ask(name: str, want: int, sequence: int) -> None:
        bench.host.serve("work", encode(WorkRequest(name, sequence, 0, [], [], [], want)))

    for name in ("busy", "idle"):
        bench.host.serve("register", encode(worker(name, keys=key, pool="p")))
    _ = send.enqueue("a")
    ask("busy", 1, 1)
    answer = bench.host.serve("retire", encode(["busy", "idle", "unknown"]))
    assert decode(answer.result(0), list[str]) == ["idle"]
    later = send.enqueue("a")
    ask("idle", 1, 1)
    assert later.status() == "pending"
    assert {w.id: w.draining for w in bench.q.worker_health()} == {"busy": False, "idle": True}


def test_a_worker_serves_its_shape_alone(bench: Bench) -> None:
    shaped, plain = send.options(**GPU).enqueue("a"), send.enqueue("b")
    bench.work()
    assert (shaped.status(), plain.status()) == ("pending", "completed")
    found = bench.q.why(shaped)
    assert (found.reason, found.facts["shape"]) == ("no_fitting_worker", "num_gpus=0.5")
    info = worker("gpu", keys=(bench.sealer.key_id,), shape="num_gpus=0.5")
    bench.host.serve("register", encode(info))
    bench.host.serve("work", encode(WorkRequest("gpu", 1, 0, [], [], [], 5)))
    assert shaped.status() == "processing"


@pytest.mark.parametrize(
    ("staff", "reason", "words"),
    [
        ({"impossible": True, "starting": 1}, "impossible", "no node of this cluster"),
        ({"problem": "no licence", "failures": 3}, "cannot_start", "no licence"),
        ({"refused": "the quota is 4"}, "quota", "the quota is 4"),
        ({"starting": 2}, "starting", "has not brought it up yet"),
    ],
)
def test_why_nobody_is_there(bench: Bench, staff: dict[str, Any], reason: str, words: str) -> None:
    handle = send.options(**GPU).enqueue("a")
    look(bench, PoolLook("p", (), [Staff("num_gpus=0.5", **staff), Staff("", ready=1)]))
    found = bench.q.why(handle)
    assert found.reason == reason
    assert words in found.sentence
    bench.advance(60.0)
    assert bench.q.why(handle).reason == "no_workers", "what a pool said long ago is forgotten"


def test_workers_name_the_types_that_grew(bench: Bench) -> None:
    bench.host.serve("register", encode(worker("w")))
    request = WorkRequest("w", 1, 0, [], [], [], 0, grown=[("shop.resize", 64 << 20)])
    bench.host.serve("work", encode(request))
    [row] = bench.q.worker_health().rows()
    assert row["grown"] == "shop.resize: 64 MiB"


def test_what_a_worker_of_a_shape_holds() -> None:
    shape = Shape(num_cpus=0.5, memory=100, resources=(("disk", 1.0),))
    assert footprint(shape, 4).text == "num_cpus=2 memory=400 disk=4"
    assert [executors_of(Shape(num_gpus=n), 4) for n in (0.0, 0.3, 0.5, 1, 2)] == [4, 3, 2, 1, 1]
    assert parse_shapes("auto") is None
    assert parse_shapes([{}, {}]) == (Shape(),)


def test_why_says_what_keeps_a_pool_from_having_workers(bench: Bench) -> None:
    """The limit before the worker that comes when it opens; what nobody waits out before both."""
    q = bench.q
    q.pools.set("p")
    handle = send.options(limits="api").enqueue("a")
    assert q.why(handle).reason == "no_workers"
    q.rate_limiter.throttle("api", "1h")
    assert q.why(handle).reason == "limit"
    look(bench, PoolLook("p", (), [Staff("", 1, refused="the quota of cpu is 2")]))
    assert q.why(handle).reason == "quota"
    look(bench, PoolLook("p", (), [Staff("", 1, problem="ImportError: app", failures=2)]))
    assert q.why(handle).reason == "cannot_start"
    q.pools.delete("p")
    assert q.why(handle).reason == "no_workers", "whatever the limit, somebody has to start one"


def test_a_pool_that_may_not_start_since_all_nodes_are_closed_says_that(bench: Bench) -> None:
    q = bench.q
    q.pools.set("p")
    bench.host.engine.observe([NodeSight("aaaa1111", host="box")])
    handle = send.enqueue("a")
    q.nodes.cordon("box")
    look(bench, PoolLook("p", (), [Staff("", 1, refused="every node is cordoned")]))
    assert q.why(handle).reason == "nodes"
