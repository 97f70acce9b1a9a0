"""Pauses, settings of queues and `why`, as programs see them."""

import asyncio
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidOption
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send


@pytest.mark.parametrize(
    "what", [{"queue": "mail"}, {"type": "tests.unit.sdk.jobs_for_tests.send"}, {"tag": "mail"}]
)
def test_a_pause_holds_over_a_restart(bench: Bench, what: dict[str, str]) -> None:
    handle = send.enqueue("a")
    assert bench.q.pause(**what)
    bench.restart()
    bench.work()
    assert handle.status() is tq.JobState.PENDING
    ((kind, name, since),) = bench.q.queues.paused()
    assert ({kind: name}, since is not None) == (what, True)
    assert bench.q.why(handle).reason == "paused"
    assert bench.q.resume(**what)
    bench.work()
    assert handle.result(timeout=30) == "a: "


def test_a_pause_names_one_thing(bench: Bench) -> None:
    for wrong in ({}, {"queue": "mail", "tag": "mail"}):
        with pytest.raises(InvalidOption, match="one of a queue"):
            bench.q.pause(**wrong)
    with pytest.raises(InvalidOption, match="queue"):
        bench.q.pause("No Queue")


def test_settings_change_one_by_one(bench: Bench) -> None:
    queues = bench.q.queues
    queues.configure("mail", max_depth=2)
    queues.configure("mail", weights={"gold": 3})
    bench.restart()
    settings = queues.settings("mail")
    assert (settings.max_depth, settings.weights) == (2, {"gold": 3.0})
    with pytest.raises(tq.QueueFull, match="mail"):
        bench.q.enqueue_many(send.item(str(n)) for n in range(3))
    queues.configure("mail", max_depth=None)
    assert len(bench.q.enqueue_many(send.item(str(n)) for n in range(3))) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"max_depth": -1}, {"max_depth": True}, {"weights": [1]}, {"weights": {"a": "x"}},
     {"weights": {"a": 0}}, {"retention": "soon"}, {"retention": {"done": "1d"}},
     {"retention": {"failed": 0}}],
)  # fmt: skip
def test_settings_that_are_none_are_refused(bench: Bench, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(wrong))):
        bench.q.queues.configure("mail", **wrong)
    assert bench.q.queues.settings("mail").max_depth is None


def test_tenants_take_turns(bench: Bench) -> None:
    big = send.options(fair_key="big")
    bench.q.enqueue_many(big.item(f"big{n}") for n in range(50))
    small = send.options(fair_key="small").enqueue("small")
    bench.work(1)
    assert small.status() is not tq.JobState.PENDING


def test_one_of_a_key_at_a_time(bench: Bench) -> None:
    first, second = (send.options(concurrency_key="k", ordered=True).enqueue(x) for x in "ab")
    assert bench.q.why(second).reason == "key"
    bench.work()
    assert (first.result(timeout=30), second.result(timeout=30)) == ("a: ", "b: ")
    for wrong in ({"ordered": 1}, {"concurrency_key": ""}, {"fair_key": 1.5}):
        with pytest.raises(InvalidOption, match=next(iter(wrong))):
            send.options(**wrong)


def test_the_twins_do_the_same(bench: Bench) -> None:
    async def all_of_them() -> None:
        handle = await bench.q.aenqueue(send, "a")
        assert await bench.q.apause("mail")
        assert [one.name for one in await bench.q.queues.apaused()] == ["mail"]
        assert (await bench.q.awhy(handle)).reason == "paused"
        assert await bench.q.aresume("mail")
        assert (await bench.q.queues.aconfigure("mail", max_depth=9)).max_depth == 9

    asyncio.run(all_of_them())


def test_why_of_what_has_ended_or_never_was(bench: Bench) -> None:
    handle = send.enqueue("a")
    bench.work()
    assert bench.q.why(handle).reason == "finished"
    bench.fold()
    bench.advance(200_000)
    bench.fold()
    assert bench.q.why(handle).reason == "finished"
    with pytest.raises(tq.JobNotFound):
        bench.q.why(tq.new_id())
