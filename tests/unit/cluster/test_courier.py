"""Notices on their way: each by itself, again when it fails, and given up in the end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from taskqueue_ray.cluster.courier import Courier
from taskqueue_ray.core.alerts import Delivery, News, Notice, Sink
from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.engine.telling import Undelivered


def _notice(number: int, sinks: int = 1, rule: str = "deep", what: News = "firing") -> Notice:
    left = tuple(range(sinks))
    places = tuple(Sink("log", f"log {place}") for place in left)
    return Notice(number, rule, what, 0.0, "warning", "", None, places, left)


class World:
    """`answers` are what telling a sink raises, one after another; then it is told."""

    def __init__(self) -> None:
        self.answers: dict[tuple[int, int], list[Exception]] = {}
        self.told: Counter[tuple[int, int]] = Counter()
        self.done: list[Delivery] = []
        self.deaf = 0
        self.courier = Courier(self.tell, self.note, pauses=(0.0, 0.0))

    async def tell(self, notice: Notice, sink: int) -> None:
        key = (notice.number, sink)
        self.told[key] += 1
        if self.answers.get(key):
            raise self.answers[key].pop(0)

    async def note(self, delivery: Delivery) -> None:
        if self.deaf:
            self.deaf -= 1
            raise Unavailable("it restarts")
        self.done.append(delivery)


def _play(act: Callable[[World], Awaitable[None]]) -> World:
    async def run() -> World:
        world = World()
        await act(world)
        for _ in range(200):
            await asyncio.sleep(0)
        world.courier.close()
        return world

    return asyncio.run(run())


def test_a_sink_that_fails_is_tried_again_and_holds_up_no_other() -> None:
    async def act(world: World) -> None:
        world.answers[1, 0] = [Undelivered("it answered 500"), Undelivered("it answered 500")]
        world.courier.take([_notice(1, 2), _notice(2, rule="other")])

    world = _play(act)
    assert world.told == {(1, 0): 3, (1, 1): 1, (2, 0): 1}
    assert sorted(world.done, key=lambda one: (one.number, one.sink)) == [
        Delivery(1, 0), Delivery(1, 1), Delivery(2, 0),
    ]  # fmt: skip


def test_the_end_of_an_alert_is_not_told_before_its_beginning() -> None:
    """The sink was away when the alert fired, and is back when it ends: between two tries."""

    async def act(world: World) -> None:
        world.answers[1, 0] = [Undelivered("away"), Undelivered("away")]
        world.courier.take([_notice(1, 2)])
        world.courier.take([_notice(1, 2), _notice(2, 2, what="resolved")])

    world = _play(act)
    assert [one.number for one in world.done if one.sink == 0] == [1, 2]
    assert world.done[0].sink == 1, "the other sink is not held up"


def test_what_was_given_up_holds_up_no_later_one_and_a_test_waits_for_none() -> None:
    async def act(world: World) -> None:
        world.answers[1, 0] = [Undelivered("away")] * 3
        ended, tried = _notice(2, what="resolved"), _notice(3, what="test")
        world.courier.take([_notice(1), ended, tried])

    told = [(one.number, bool(one.problem)) for one in _play(act).done]
    assert told == [(3, False), (1, True), (2, False)]


def test_after_so_many_tries_it_is_given_up_with_the_reason() -> None:
    async def act(world: World) -> None:
        world.answers[1, 0] = [Undelivered(f"it answered {code}") for code in (500, 502, 503)]
        world.courier.take([_notice(1)])

    world = _play(act)
    assert world.done == [Delivery(1, 0, "it answered 503 (tried 3 times)")]


def test_what_is_handed_in_again_is_carried_once() -> None:
    async def act(world: World) -> None:
        for _ in range(5):
            world.courier.take([_notice(1)])
            await asyncio.sleep(0)

    assert _play(act).told == {(1, 0): 1}


def test_what_could_not_be_noted_goes_again_with_the_same_id() -> None:
    async def act(world: World) -> None:
        world.deaf = 1
        world.courier.take([_notice(1)])
        for _ in range(20):
            await asyncio.sleep(0)
        world.courier.take([_notice(1)])

    world = _play(act)
    assert (world.told, world.done) == ({(1, 0): 2}, [Delivery(1, 0)])


def test_an_error_nobody_thought_of_is_a_failed_try() -> None:
    async def act(world: World) -> None:
        world.answers[1, 0] = [ZeroDivisionError("by zero")]
        world.courier.take([_notice(1)])

    assert _play(act).done == [Delivery(1, 0)]


def test_a_notice_that_is_wanted_no_more_is_let_go() -> None:
    async def act(world: World) -> None:
        world.courier = Courier(world.tell, world.note, pauses=(3600.0,))
        world.answers[1, 0] = [Undelivered("no")]
        world.courier.take([_notice(1)])
        for _ in range(20):
            await asyncio.sleep(0)
        world.courier.take([])

    world = _play(act)
    assert (world.told, world.done) == ({(1, 0): 1}, [])


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "taskqueue_ray.cluster.courier")
