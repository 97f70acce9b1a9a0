"""Limits beside everything else that a job can be told: each pair that meets in a program."""

from itertools import count
from typing import Any

import msgspec
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.exchange import Grant, WorkerInfo, WorkReply, WorkRequest
from taskqueue_ray.core.identity import to_text
from tests.inprocess import Bench
from tests.unit.sdk.batch_jobs import embed

ran: list[Any] = []
sequences = count(1)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQUEUE_ENCRYPTION_KEYS", bytes(32).hex())
    ran.clear()


@tq.job(queue="calls", limits=["api"], backoff=tq.Backoff.fixed("10s"))
def call(n: int, fails: int = 0) -> int:
    ran.append(n)
    if tq.current().attempt <= fails:
        raise ValueError("not yet")
    return n


@tq.job(queue="calls", limits=["gpu"])
def gather(count: int) -> int:
    """Waits for jobs under the limit that it is under itself."""
    here = tq.current()
    ids = here.checkpoint()
    if ids is None:
        ids = [call.options(limits=["gpu"]).enqueue(n).id for n in range(count)]
        here.checkpoint(ids)
    return sum(tq.wait_for([tq.connect().handle(one) for one in ids]))


def rate(bench: Bench, n: int, per: str = "10s", name: str = "api") -> None:
    bench.q.rate_limiter.set_limit(name, n, per=per)


def again(bench: Bench) -> None:
    """What ended goes into the history, and the queue dies and comes back."""
    bench.fold()
    bench.restart()
    bench.work(0)  # its worker is there again


def test_a_unique_job_is_replaced_while_its_limit_is_closed(bench: Bench) -> None:
    rate(bench, 1)
    _ = bench.q.enqueue(call, 0)
    bench.work()
    key = tq.Unique("k", on_conflict="replace")
    first = bench.q.enqueue(call.options(unique=key), 1)
    again(bench)
    second = bench.q.enqueue(call.options(unique=key), 2)
    assert first.status() is tq.JobState.CANCELLED
    assert bench.q.why(second).reason == "limit"
    same = bench.q.enqueue(call.options(unique=tq.Unique("k")), 3)
    assert same.id == second.id
    again(bench)
    bench.advance(10)
    bench.work()
    assert ran == [0, 2]
    assert bench.q.enqueue(call.options(unique=key), 4).id != second.id


def test_tenants_take_turns_under_a_closed_limit(bench: Bench) -> None:
    rate(bench, 2)
    bench.q.enqueue_many(call.options(fair_key="big").item(n) for n in range(30))
    bench.work()
    _ = bench.q.enqueue(call.options(fair_key="small"), 100)
    again(bench)
    bench.advance(10)
    bench.work()
    assert 100 in ran[2:4]


@pytest.mark.parametrize("keyed", [True, False])
def test_tenants_take_turns_between_limits(bench: Bench, keyed: bool) -> None:
    """One key per customer as limit and as fair key, or one limit for one of them only."""
    rate(bench, 1000)
    big = [tq.Limit("api", key="big")] if keyed else []
    small = [tq.Limit("api", key="small")]
    bench.q.enqueue_many(call.options(fair_key="big", limits=big).item(n) for n in range(30))
    _ = bench.q.enqueue(call.options(fair_key="small", limits=small), 100)
    grants = [_lease(bench, want=1) for _ in range(3)]
    assert 100 in [_argument(bench, grant) for (grant,) in grants]


def test_an_ordered_job_keeps_its_key_but_no_place_while_it_waits_for_its_retry(
    bench: Bench,
) -> None:
    bench.q.concurrency.set_limit("gpu", 1)
    ordered = call.options(limits=["gpu"], concurrency_key="k", ordered=True)
    _ = bench.q.enqueue(ordered, 1, fails=1)
    behind = bench.q.enqueue(ordered, 2)
    other = bench.q.enqueue(call.options(limits=["gpu"]), 3)
    bench.work()
    assert ran == [1, 3], "the place is free, and the key is not"
    assert bench.q.why(behind).reason == "key"
    again(bench)
    assert bench.q.why(behind).reason == "key"
    bench.advance(10)
    bench.work()
    assert ran == [1, 3, 1, 2]
    assert other.result() == 3


@pytest.mark.parametrize("what", [{"queue": "calls"}, {"type": call.job_type.name}, {"tag": "t"}])
def test_a_pause_holds_jobs_whose_limit_opens(bench: Bench, what: dict[str, str]) -> None:
    rate(bench, 1)
    bench.q.enqueue_many(call.options(tags=["t"]).item(n) for n in range(3))
    bench.work()
    bench.q.pause(**what)
    bench.advance(10)
    again(bench)
    assert bench.work() == 0
    late = bench.q.enqueue(call.options(tags=["t"]), 3)
    assert bench.q.why(late).reason == "paused"
    bench.q.resume(**what)
    assert bench.work() == 1
    assert ran == [0, 1]
    assert bench.q.why(late).reason == "limit"


def test_what_is_cancelled_or_expires_makes_way_for_what_waits_behind_it(bench: Bench) -> None:
    rate(bench, 4)
    bench.q.enqueue_many(call.item(n) for n in range(2))
    bench.work()
    much = [tq.Limit("api", units=4)]
    claims = bench.q.enqueue(call.options(limits=much), 10)
    soon = bench.q.enqueue(call.options(limits=much, expires="5s"), 11)
    _ = bench.q.enqueue(call, 12)
    assert bench.work() == 0
    assert claims.cancel()
    assert bench.work() == 0
    again(bench)
    bench.advance(6)
    assert soon.status() is tq.JobState.EXPIRED
    bench.work()
    assert ran == [0, 1, 12]
    assert bench.q.purge(state="cancelled") == 1
    assert bench.q.stats("calls").oldest_waiting is None


def test_a_job_gives_its_place_back_while_it_waits_for_others(bench: Bench) -> None:
    bench.q.concurrency.set_limit("gpu", 1)
    handle = bench.q.enqueue(gather, 3)
    bench.work(1)
    again(bench)
    bench.work()
    assert handle.result(timeout=5) == 0 + 1 + 2
    assert [one.used for one in bench.q.concurrency.limits()] == [0]


def test_a_batch_is_as_large_as_its_limit_lets_it(bench: Bench) -> None:
    bench.q.concurrency.set_limit("gpu", 3)
    options: Any = embed.options(limits=["gpu"])
    bench.q.enqueue_many(options.item("x" * n) for n in range(6))
    assert len(_lease(bench, want=100)) == 3
    bench.q.concurrency.set_limit("gpu", 1000)
    assert len(_lease(bench, "other", want=100)) == 3


def test_a_dead_letter_goes_under_the_limit_of_its_new_queue(bench: Bench) -> None:
    rate(bench, 3)
    bench.q.queues.configure("second", concurrency=1)
    dead = [bench.q.enqueue(call.options(max_attempts=1), n, fails=1) for n in range(2)]
    bench.work()
    again(bench)
    for one in dead:
        bench.q.redrive(one, options={"queue": "second", "max_attempts": 2})
    again(bench)
    assert len(_lease(bench, want=10)) == 1, "one start of the rate is left"
    bench.advance(10)
    assert _lease(bench, "other") == [], "one at a time in the second queue"
    assert bench.q.why(dead[1]).facts["limit"] == "queue:second"
    bench.host.engine.lose("w")
    bench.work()
    bench.advance(20)
    bench.work()
    assert [one.result() for one in dead] == [0, 1]
    assert [one.used for one in bench.q.concurrency.limits()] == [0]


def test_a_schedule_whose_job_waits_for_its_limit_does_not_pile_up(bench: Bench) -> None:
    rate(bench, 1, per="1h")
    _ = bench.q.enqueue(call, 0)
    bench.work()
    job = call.options(unique=True, on_parent_failure="continue")
    bench.q.scheduler.schedule(60, job, 1, id="s", overlap="allow")
    for _ in range(3):
        bench.advance(60)
        bench.fire()
        again(bench)
    (waiting,) = bench.q.jobs(schedule="s", state="pending")
    assert bench.q.why(waiting).reason == "limit"
    assert (bench.q.scheduler.get("s").fired, bench.q.scheduler.get("s").skipped) == (1, 2)
    bench.advance(3600)
    bench.work()
    assert ran == [0, 1]
    bench.fire()
    assert bench.q.scheduler.get("s").fired == 2


def test_the_limits_of_a_schedule_hold_for_its_jobs(bench: Bench) -> None:
    rate(bench, 1, per="1h")
    bench.q.scheduler.schedule(60, call, 1, id="s", overlap="allow")
    for _ in range(3):
        bench.advance(60)
        bench.fire()
    assert bench.work() == 1
    again(bench)
    assert bench.work() == 0
    assert bench.q.stats("calls").pending == 2
    assert len(bench.q.jobs(schedule="s", state="pending")) == 2


def test_a_checkpoint_waits_with_its_job_for_a_limit(bench: Bench) -> None:
    rate(bench, 1)
    handle = bench.q.enqueue(steps)
    bench.work()
    bench.advance(2)
    again(bench)
    assert bench.work() == 0
    assert bench.q.why(handle).reason == "limit"
    bench.advance(10)
    bench.work()
    assert ran == [None, 1]
    assert handle.result() == "done"


@tq.job(limits=["api"])
def steps() -> str:
    here = tq.current()
    saved = here.checkpoint()
    ran.append(saved)
    if saved is None:
        here.checkpoint(1)
        raise tq.Snooze(1)
    return "done"


def test_jobs_under_a_closed_limit_are_listed_and_counted(bench: Bench) -> None:
    rate(bench, 1)
    handles = bench.q.enqueue_many(call.options(tags=["t"]).item(n) for n in range(4))
    bench.work()
    again(bench)
    waiting = [one.id for one in handles[1:]]
    assert bench.work() == 0
    listed = bench.q.jobs(queue="calls", state="pending")
    assert sorted(one.id for one in listed) == sorted(waiting)
    assert {bench.q.why(one).reason for one in waiting} == {"limit"}
    stats = bench.q.stats("calls")
    assert (stats.pending, stats.completed) == (3, 1)
    bench.advance(10)
    assert bench.q.why(waiting[0]).reason == "turn"
    assert len(bench.q.cancel_all(queue="calls", tag="t")) == 3
    assert bench.work() == 0


# --- a worker of the bench that only leases -----------------------------------------------------


def _lease(bench: Bench, name: str = "w", want: int = 1) -> list[Grant]:
    """What a worker with ten executors is given that has all that it was given before."""
    info = WorkerInfo(name, (), 10, "3.11", (bench.sealer.key_id,))
    bench._ask("register", info)
    sequence = next(sequences)
    held = list(bench.host.engine.state.held.get(name, ()))
    request = WorkRequest(name, sequence, sequence - 1, [], held, [], want)
    reply = msgspec.msgpack.decode(bench._ask("work", request), type=WorkReply)
    return reply.grants


def _argument(bench: Bench, grant: Grant) -> Any:
    (record,) = [one for one in bench.q.jobs() if one.id == to_text(grant.id)]
    return record.arguments["n"]
