"""Limits as programs and running jobs see them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidOption
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send

TYPE = "tests.unit.sdk.jobs_for_tests.send"


@tq.job(queue="calls", limits=["api"])
def call(n: int) -> int:
    return n


@tq.job
def ask(timeout: float) -> str:
    tq.current().rate_limit("api", timeout=timeout)
    return "asked"


@tq.job
async def aask() -> str:
    with pytest.raises(tq.InvalidRequest, match="arate_limit"):
        tq.current().rate_limit("api")
    await tq.current().arate_limit("api")
    await tq.current().athrottle("api", 5)
    return "asked"


@tq.job(limits=tq.Limit("api", key="me"))
def told_to_wait() -> None:
    tq.current().throttle("api", 30, key="me")
    raise tq.Snooze(1)


def test_a_rate_holds_over_a_restart(bench: Bench) -> None:
    assert bench.q.rate_limiter.set_limit("api", 2, per="10s")
    assert not bench.q.rate_limiter.set_limit("api", 2, per=10)
    handles = bench.q.enqueue_many(call.item(n) for n in range(5))
    assert bench.work() == 2
    bench.restart()
    assert bench.work() == 0
    why = bench.q.why(handles[2])
    assert (why.reason, why.facts["limit"], why.facts["left"]) == ("limit", "api", 0)
    assert "2 starts in 10 s" in why.sentence
    assert "until in 10.0 s" in why.sentence
    bench.advance(10)
    assert bench.work() == 2
    assert bench.q.rate_limiter.delete("api")
    assert bench.work() == 1
    assert not bench.q.rate_limiter.delete("api")


def test_options_of_a_job(bench: Bench) -> None:
    class Work(tq.Job):
        limits = ("api", tq.Limit("gpu", units=2, key=7))

        def handle(self) -> None: ...

    made = bench.q.push(Work())
    found = bench.q.enqueue(call.options(limits="other"), 1)
    record = bench.host.engine.state.jobs
    uses = [[(u.name, u.units, u.key) for u in one.conditions.limits] for one in record.values()]
    assert uses == [[("api", 1, ""), ("gpu", 2, "7")], [("other", 1, "")]]
    assert bench.work() == 2
    assert (made.status(), found.result(timeout=5)) == (tq.JobState.COMPLETED, 1)


@pytest.mark.parametrize(
    "wrong", [["a", "a"], ["A b"], [3], "", [tq.Limit("a"), "a"], [f"l{n}" for n in range(17)]]
)
def test_wrong_options(wrong: Any) -> None:
    with pytest.raises(InvalidOption):
        call.options(limits=wrong)


@pytest.mark.parametrize("wrong", [{"units": 0}, {"units": True}, {"units": -1}, {"key": ""}])
def test_wrong_units_and_keys(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        tq.Limit("api", **wrong)


def test_wrong_limits(bench: Bench) -> None:
    q = bench.q
    q.concurrency.set_limit("gpu", 1)
    wrong: list[Callable[[], object]] = [
        lambda: q.rate_limiter.set_limit("api", -1),
        lambda: q.rate_limiter.set_limit("api", 1.5),  # type: ignore[arg-type]
        lambda: q.rate_limiter.set_limit("api", 1, per=-1),
        lambda: q.rate_limiter.set_limit("api", 1, smooth=1),  # type: ignore[arg-type]
        lambda: q.concurrency.set_limit("a", 1, type="b"),
        lambda: q.concurrency.set_limit(n=1),
        lambda: q.concurrency.set_limit("a"),
        lambda: q.queues.configure("mail", concurrency=0),
        lambda: q.rate_limiter.throttle("api", -1),
        lambda: q.rate_limiter.acquire("api", 0),
    ]
    for each in wrong:
        with pytest.raises(InvalidOption):
            each()
    with pytest.raises(tq.LimitConflict, match="concurrency"):
        q.rate_limiter.set_limit("gpu", 1)
    with pytest.raises(tq.LimitConflict):
        q.rate_limiter.acquire("gpu")
    assert [one.name for one in q.concurrency.limits()] == ["gpu"]


def test_how_many_run_at_a_time(bench: Bench) -> None:
    q = bench.q
    q.concurrency.set_limit("gpu", 3, key="k")
    q.concurrency.set_limit(type=TYPE, n=2)
    q.queues.configure("mail", concurrency=4)
    assert q.queues.settings("mail").concurrency == 4
    bench.restart()
    found = [(one.name, one.queue, one.type, one.key, one.n) for one in q.concurrency.limits()]
    assert found == [
        ("gpu", None, None, "k", 3), (None, None, TYPE, None, 2), (None, "mail", None, None, 4),
    ]  # fmt: skip
    handle = send.enqueue("a")
    assert bench.work() == 1
    assert handle.result(timeout=5) == "a: "
    assert q.concurrency.delete(type=TYPE)
    q.queues.configure("mail", concurrency=None)
    assert [one.name for one in q.concurrency.limits()] == ["gpu"]


def test_permits_for_programs(bench: Bench) -> None:
    limiter = bench.q.rate_limiter
    limiter.set_limit("api", 2, per=60)
    limiter.acquire("api", timeout=0)
    limiter.acquire("api", timeout=0)
    with pytest.raises(tq.LimitTimeout, match="api"):
        limiter.acquire("api", timeout=0)
    limiter.acquire("api", key="another", timeout=0)
    (record,) = limiter.limits()
    assert (record.used, record.keys, record.per) == (2, 2, 60.0)
    bench.advance(60)
    asyncio.run(limiter.aacquire("api", timeout=0))


def test_who_waits_is_served_when_there_is_room(bench: Bench) -> None:
    from taskqueue_ray.core.exchange import AcquireRequest, Permit
    from taskqueue_ray.engine.rates import _encode, _permit

    bench.q.rate_limiter.set_limit("api", 1, per=5)
    wish = _encode(AcquireRequest("api", 1, "", 8.0))
    answers = [bench.host.serve("acquire", wish) for _ in range(3)]
    assert [one.done() for one in answers] == [True, False, False]
    bench.advance(5)
    assert [one.done() for one in answers] == [True, True, False]
    bench.advance(4)
    assert _permit(answers[2].result(1)).given is False
    last = bench.host.serve("acquire", wish)
    bench.q.rate_limiter.delete("api")
    assert isinstance(_permit(last.result(1)), Permit)
    assert _permit(last.result(1)).given


def test_the_alarm_is_set_for_the_moment_a_limit_opens(bench: Bench) -> None:
    alarms: list[float] = []
    bench.host.engine.permits._alarm = alarms.append
    bench.q.rate_limiter.set_limit("api", 1, per=5)
    bench.q.enqueue_many(call.item(n) for n in range(3))
    assert bench.work() == 1
    assert alarms == [pytest.approx(5.0)]
    bench.host.clock.time += 5
    bench.host.engine.wake()
    assert bench.work() == 1


def test_inside_of_a_job(bench: Bench) -> None:
    bench.q.rate_limiter.set_limit("api", 1, per=60)
    first, second = ask.enqueue(0), ask.options(max_attempts=1).enqueue(0)
    bench.work()
    assert first.result(timeout=5) == "asked"
    with pytest.raises(tq.JobFailed, match="LimitTimeout"):
        second.result(timeout=5)


def test_inside_of_a_coroutine(bench: Bench) -> None:
    handle = aask.enqueue()
    bench.work()
    assert handle.result(timeout=5) == "asked"
    waiting = call.enqueue(1)
    assert bench.work() == 0
    assert "was throttled" in bench.q.why(waiting).sentence


def test_a_429_closes_the_limit_for_a_time(bench: Bench) -> None:
    first, other = told_to_wait.enqueue(), told_to_wait.enqueue()
    assert bench.work() == 1
    bench.advance(2)
    assert bench.work() == 0
    (record,) = bench.q.rate_limiter.limits()
    assert (record.kind, record.key, record.until is not None) == ("throttle", "me", True)
    assert bench.q.rate_limiter.throttle("api", 0, key="me") is None
    assert bench.work() == 1
    assert {first.status(), other.status()} <= {tq.JobState.SCHEDULED, tq.JobState.PENDING}


def test_async_twins(bench: Bench) -> None:
    async def run() -> None:
        q = bench.q
        assert await q.rate_limiter.aset_limit("api", 1, per=5)
        assert await q.concurrency.aset_limit("gpu", 2)
        assert await q.rate_limiter.athrottle("api", 5) is not None
        assert [one.name for one in await q.rate_limiter.alimits()] == ["api"]
        assert await q.concurrency.adelete("gpu")
        assert await q.rate_limiter.adelete("api")

    asyncio.run(run())
