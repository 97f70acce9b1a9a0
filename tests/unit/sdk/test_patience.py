"""Enqueueing into a full queue waits for room, when the caller is patient."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.sdk import batches, patience
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import parent, send

Meanwhile = Callable[[], object]


class Pauses:
    """The pauses of those who wait: none of them is real, and time is what they add up to."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.taken: list[float] = []
        self.meanwhile: Meanwhile = lambda: None

    def clock(self) -> float:
        return sum(self.taken)

    def rest(self, _: threading.Event, seconds: float) -> None:
        self.taken.append(seconds)
        self.meanwhile()

    async def arest(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.meanwhile()


@pytest.fixture
def pauses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Pauses:
    made = Pauses(bench)
    monkeypatch.setattr(patience, "monotonic", made.clock)
    monkeypatch.setattr(patience, "rest", made.rest)
    monkeypatch.setattr(patience, "arest", made.arest)
    bench.q.queues.configure("mail", max_depth=2)
    return made


def _fill(bench: Bench) -> None:
    bench.q.enqueue_many(send.item(str(n)) for n in range(2))


def _items(count: int) -> list[Any]:
    return [send.item(f"later {n}") for n in range(count)]


def _pipeline(q: tq.TaskQueue) -> None:
    with q.pipeline() as p:
        for item in _items(2):
            _ = p.enqueue(item)


def _workflow(q: tq.TaskQueue) -> None:
    with q.workflow("w") as flow:
        _ = flow.add(send, "first")
        _ = flow.add(send, "second")


def _twins(q: tq.TaskQueue) -> None:
    async def both() -> None:
        _ = await q.aenqueue(send, "first")
        await q.aenqueue_many(_items(1))

    asyncio.run(both())


WAYS: dict[str, Callable[[tq.TaskQueue], object]] = {
    "enqueue": lambda q: [q.enqueue(send, str(n)) for n in range(2)],
    "a job's own": lambda _: [send.enqueue(str(n)) for n in range(2)],
    "enqueue_many": lambda q: q.enqueue_many(_items(2)),
    "a generator": lambda q: q.enqueue_many(item for item in _items(2)),
    "pipeline": _pipeline,
    "workflow": _workflow,
    "the async twins": _twins,
}


@pytest.mark.parametrize("way", WAYS)
def test_whoever_is_patient_waits_for_room(bench: Bench, pauses: Pauses, way: str) -> None:
    _fill(bench)
    pauses.meanwhile = lambda: len(pauses.taken) < 4 or bench.work()
    with tq.patient("1m"):
        WAYS[way](bench.q)
    assert len(pauses.taken) >= 4
    bench.work()
    assert bench.q.stats("mail").completed == 4


@pytest.mark.parametrize("way", WAYS)
def test_when_the_time_is_over_the_refusal_says_how_long_it_was(
    bench: Bench, pauses: Pauses, way: str
) -> None:
    _fill(bench)
    with tq.patient("30s"), pytest.raises(tq.QueueFull, match="after a wait of 30 s") as refusal:
        WAYS[way](bench.q)
    assert refusal.value.fields == {"queue": "mail", "limit": 2, "waited": 30.0}
    assert bench.q.stats("mail").pending == 2


@pytest.mark.parametrize("way", WAYS)
def test_without_patience_it_is_refused_at_once(bench: Bench, pauses: Pauses, way: str) -> None:
    _fill(bench)
    with tq.patient("30s"):
        pass
    with pytest.raises(tq.QueueFull):
        WAYS[way](bench.q)
    assert pauses.taken == []


def test_a_queue_with_room_is_not_waited_for(bench: Bench, pauses: Pauses) -> None:
    with tq.patient("30s"):
        _fill(bench)
    assert pauses.taken == []


def test_the_pauses_grow_up_to_a_bound(bench: Bench, pauses: Pauses) -> None:
    _fill(bench)
    with tq.patient("1h"), pytest.raises(tq.QueueFull):
        _ = send.enqueue("x")
    assert pauses.taken[0] <= patience.FIRST_PAUSE
    assert max(pauses.taken) <= patience.LONGEST_PAUSE
    assert 3600 / patience.LONGEST_PAUSE < len(pauses.taken) < 2.2 * 3600 / patience.LONGEST_PAUSE
    assert sum(pauses.taken) == pytest.approx(3600.0)


def test_a_producer_of_many_goes_as_fast_as_the_workers(bench: Bench, pauses: Pauses) -> None:
    """The term is that of one stay: a producer that is served may go on for as long as it takes."""
    deepest = 0

    def work() -> None:
        nonlocal deepest
        deepest = max(deepest, bench.q.stats("mail").pending)
        bench.work()

    pauses.meanwhile = work
    bench.q.queues.configure("mail", max_depth=600)
    with tq.patient("1s"):
        handles = bench.q.enqueue_many(send.item(str(n)) for n in range(5_000))
    bench.work(100)
    assert sum(pauses.taken) < 1.0 * 5_000 / 300
    assert 0 < deepest <= 600
    assert bench.q.stats("mail").completed == len(handles) == 5_000


def test_a_batch_that_is_larger_than_the_queue_goes_in_by_portions(
    bench: Bench, pauses: Pauses
) -> None:
    pauses.meanwhile = bench.work
    claimed = send.options(unique=tq.Unique(key="k", within="1h"))
    earlier = claimed.enqueue("first")
    with tq.patient("1s"):
        handles = bench.q.enqueue_many([*_items(9), claimed.item("again"), *_items(9)])
    bench.work()
    assert bench.q.stats("mail").completed == 19
    assert handles[9].id == earlier.id
    assert [handle.result(timeout=30) for handle in handles[7:11]] == [
        "later 7: ", "later 8: ", "first: ", "later 0: ",
    ]  # fmt: skip


def test_the_time_begins_anew_when_some_were_taken(bench: Bench, pauses: Pauses) -> None:
    """Each portion waits for most of its second, all together for longer than one."""
    _fill(bench)
    served = 0.0

    def work_now_and_then() -> None:
        nonlocal served
        if pauses.clock() - served > 0.5:
            served = pauses.clock()
            bench.work()

    pauses.meanwhile = work_now_and_then
    with tq.patient("1s"):
        bench.q.enqueue_many(_items(8))
    assert pauses.clock() > 1.5


def test_a_workflow_that_is_larger_than_the_queue_is_refused_at_once(
    bench: Bench, pauses: Pauses
) -> None:
    """It is stored as one: no time would help."""
    flow = bench.q.workflow("w")
    for n in range(3):
        _ = flow.add(send, str(n))
    with tq.patient(), pytest.raises(tq.QueueFull):
        flow.start()
    assert pauses.taken == []


def test_jobs_of_later_batches_may_depend_on_those_that_wait(
    bench: Bench, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are on their way when the first is refused, and the second is for what it depends on."""
    monkeypatch.setattr(batches, "MAX_JOBS", 1)
    q = tq.TaskQueue(bench.transport, bench.sealer, is_current=False, max_batch=1)
    _fill(bench)
    pauses.meanwhile = bench.work
    first = tq.new_id()

    def items() -> Iterator[Any]:
        yield send.options(id=first).item("first")
        yield send.options(queue="other", depends_on=[first]).item("second")

    with tq.patient("1s"):
        assert len(q.enqueue_many(items())) == 2
    bench.work()
    other = tq.new_id()
    _fill(bench)
    with tq.patient("1s"), q.pipeline() as p:
        _ = p.enqueue(send.options(id=other), "first")
        _ = p.enqueue(send.options(queue="other", depends_on=[other]), "second")
    bench.work()
    assert bench.q.stats("other").completed == 2


def test_an_answer_that_was_lost_stores_nothing_twice(bench: Bench, pauses: Pauses) -> None:
    _fill(bench)

    def die() -> None:
        bench.work()
        bench.restart()

    pauses.meanwhile = die
    with tq.patient("1s"):
        handle = send.options(id=tq.new_id()).enqueue("once")
        again = send.options(id=handle.id).enqueue("once")
    assert again == handle
    assert bench.q.stats("mail").pending == 1


def test_closing_ends_the_wait(bench: Bench, pauses: Pauses) -> None:
    _fill(bench)
    pauses.meanwhile = bench.q.close
    with tq.patient(), pytest.raises(tq.QueueClosed):
        _ = bench.q.enqueue(send, "x")
    assert len(pauses.taken) == 1


def test_closing_ends_the_wait_of_a_coroutine(bench: Bench, pauses: Pauses) -> None:
    _fill(bench)
    pauses.meanwhile = bench.q.close
    with tq.patient(), pytest.raises(tq.QueueClosed):
        _ = asyncio.run(bench.q.aenqueue(send, "x"))


def test_closing_wakes_a_thread_that_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 120.0)
    bench.q.queues.configure("mail", max_depth=0)
    waits = threading.Event()

    def enqueue() -> None:
        with tq.patient():
            _ = bench.q.enqueue(send, "x")

    original = bench.host.serve

    def serve(method: str, request: bytes) -> Any:
        waits.set()
        return original(method, request)

    bench.host.serve = serve  # type: ignore[method-assign]  # to know that it has asked
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(enqueue)
        assert waits.wait(30)
        bench.q.close()
        with pytest.raises(tq.QueueClosed):
            asked.result(timeout=20)


def test_whoever_leaves_a_pipeline_by_an_error_does_not_wait(bench: Bench) -> None:
    bench.q.queues.configure("mail", max_depth=0)
    with pytest.raises(ZeroDivisionError), tq.patient():
        _leave_by_an_error(bench.q)
    assert bench.q.stats("mail").pending == 0


def _leave_by_an_error(q: tq.TaskQueue) -> None:
    with q.pipeline() as p:
        _ = p.enqueue(send, "x")
        raise ZeroDivisionError


def test_jobs_wait_too_with_what_they_enqueue(bench: Bench, pauses: Pauses) -> None:
    @tq.job(max_attempts=1)
    def patiently(n: int) -> int:
        with tq.patient("1s"):
            return len([send.enqueue(str(one)) for one in range(n)])

    _fill(bench)
    pauses.meanwhile = lambda: bench.q.queues.configure("mail", max_depth=9)
    handle = patiently.enqueue(3)
    bench.work()
    assert handle.result(timeout=30) == 3
    hasty = parent.options(max_attempts=1).enqueue(20)
    bench.work()
    with pytest.raises(tq.JobFailed, match="QueueFull"):
        hasty.result(timeout=30)


def test_patience_is_that_of_one_thread_or_coroutine(bench: Bench, pauses: Pauses) -> None:
    _fill(bench)
    with tq.patient("1s"), ThreadPoolExecutor(1) as threads:
        hasty = threads.submit(bench.q.enqueue, send, "x")
        with pytest.raises(tq.QueueFull):
            _ = hasty.result(timeout=30)
    assert pauses.taken == []


def test_blocks_may_be_nested(bench: Bench, pauses: Pauses) -> None:
    _fill(bench)
    with tq.patient("100s"):
        with tq.patient("1s"), pytest.raises(tq.QueueFull, match="wait of 1 s"):
            _ = send.enqueue("x")
        with pytest.raises(tq.QueueFull, match="wait of 100 s"):
            _ = send.enqueue("x")


@pytest.mark.parametrize("wrong", [0, "0s", -1, "soon", True, [1]])
def test_what_is_no_time_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="wait"), tq.patient(wrong):
        pass
