import asyncio
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import (
    InvalidArguments,
    InvalidOption,
    InvalidRequest,
    PayloadTooLarge,
    QueueClosed,
    UnknownJobType,
)
from taskqueue_ray.sdk.batches import MAX_JOBS
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import (
    Order,
    Resize,
    break_down,
    fetch,
    flaky,
    parent,
    send,
    ship,
    undecorated,
)

# What programs without a type checker may write.
untyped_send: Any = send
untyped_resize: Any = Resize


def test_a_job_goes_out_and_its_result_comes_back(bench: Bench) -> None:
    handle = bench.q.enqueue(send, "a@b.c", subject="Hi", times=2)
    assert handle.durable
    assert handle.status() is tq.JobState.PENDING
    bench.work()
    assert handle.result(timeout=30) == "a@b.c: HiHi"
    assert handle.wait() is tq.JobState.COMPLETED
    assert bench.q.handle(handle.id).result(timeout=30) == "a@b.c: HiHi"


def test_a_job_is_still_a_function() -> None:
    assert send("x", "y") == "x: y"
    assert send.__name__ == "send"
    assert "tests" in repr(send)


def test_types_survive_both_ways(bench: Bench) -> None:
    order = Order(uuid.uuid4(), datetime(2030, 1, 1, tzinfo=UTC), ("a",))
    handle = ship.enqueue(order)
    bench.work()
    assert handle.result(timeout=30) == Order(order.id, order.at, ("a", "shipped"))


def test_an_async_job_gets_its_executor(bench: Bench) -> None:
    handle = fetch.enqueue(1)
    assert handle.info().executor == "async"
    bench.work()
    assert handle.result(timeout=30) == 2


def test_options_travel(bench: Bench) -> None:
    handle = send.options(priority=99, category="news", name="first", tags=["x"]).enqueue("a")
    record = handle.info()
    assert (record.queue, record.priority, record.category) == ("mail", 99, "news")
    assert (record.name, record.tags) == ("first", ("x",))
    assert record.arguments == {"to": "a"}


def test_a_failed_job_tells_why(bench: Bench) -> None:
    handle = break_down.enqueue("no luck")
    bench.work()
    with pytest.raises(tq.JobFailed) as failed:
        handle.result(timeout=30)
    assert (failed.value.error_type, failed.value.message) == ("ValueError", "no luck")
    assert failed.value.traceback
    assert failed.value.reason == "attempts"
    record = bench.q.job(handle)
    assert record.state is tq.JobState.FAILED
    assert record.error is not None
    assert record.error.message == "no luck"
    assert bench.q.failed_jobs().ids == [handle.id]


def test_a_quarantined_job_says_so(bench: Bench) -> None:
    handle = send.enqueue("a")
    for _ in range(5):
        bench.vanish()
    with pytest.raises(tq.JobFailed, match=r"quarantined as poison.*worker vanished") as failed:
        handle.result(timeout=30)
    assert (failed.value.reason, failed.value.error_type) == ("poison", "WorkerLost")


def test_retries_and_redrive(bench: Bench) -> None:
    handle = flaky.enqueue(2)
    bench.work()
    assert handle.status() is tq.JobState.SCHEDULED
    bench.advance(11)
    bench.work()
    assert handle.result(timeout=30) == 2
    dead = break_down.enqueue("x")
    bench.work()
    assert bench.q.redrive(dead) == [dead.id]
    assert dead.status() is tq.JobState.PENDING
    assert bench.q.retry(dead.id) == []


def test_delays(bench: Bench) -> None:
    later = send.options(delay="10m").enqueue("a")
    at = send.options(at=datetime.now(UTC) + timedelta(hours=1)).enqueue("b")
    assert later.status() is at.status() is tq.JobState.SCHEDULED
    assert bench.work() == 0
    bench.advance(601)
    bench.work()
    assert later.wait(30) is tq.JobState.COMPLETED
    assert at.status() is tq.JobState.SCHEDULED


def test_dependencies(bench: Bench) -> None:
    first = send.enqueue("first")
    second = send.options(depends_on=[first]).enqueue("second")
    assert second.status() is tq.JobState.BLOCKED
    assert second.info().parents == (first.id,)
    bench.work()
    assert second.result(timeout=30) == "second: "


def test_a_repeated_id_is_the_same_job(bench: Bench) -> None:
    job_id = tq.new_id()
    first = send.options(id=job_id).enqueue("a")
    again = send.options(id=job_id).enqueue("b")
    assert first == again
    assert first.info().arguments == {"to": "a"}
    assert len(bench.q.jobs()) == 1


def test_cancel_delete_and_purge(bench: Bench) -> None:
    handle = send.enqueue("a")
    with pytest.raises(tq.Conflict):
        bench.q.delete(handle)
    assert handle.cancel("not needed")
    assert not handle.cancel()
    with pytest.raises(tq.JobCancelled):
        handle.result(timeout=30)
    dead = [break_down.enqueue("x"), break_down.enqueue("y")]
    bench.work()
    bench.q.delete(dead[0])
    assert bench.q.purge(state="failed", older_than="1h") == 0
    assert bench.q.purge(state="failed") == 1
    assert len(bench.q.failed_jobs()) == 0
    with pytest.raises(InvalidOption):
        bench.q.purge(state="pending")


def test_a_wait_that_is_too_short(bench: Bench) -> None:
    handle = send.enqueue("a")
    with pytest.raises(tq.ResultTimeout) as late:
        handle.result(timeout=0)
    assert isinstance(late.value, TimeoutError)
    assert late.value.fields["state"] == "pending"
    bench.work()
    assert handle.result(timeout=30) == "a: "


def test_an_unknown_job(bench: Bench) -> None:
    with pytest.raises(tq.JobNotFound):
        bench.q.job(tq.new_id())
    with pytest.raises(tq.JobNotFound):
        bench.q.handle(tq.new_id()).result(timeout=30)
    with pytest.raises(InvalidOption):
        _ = bench.q.handle("../x")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda q: q.enqueue(send), InvalidArguments),
        (lambda q: q.enqueue(send, 5), InvalidArguments),
        (lambda q: q.enqueue(send, "a", nope=1), InvalidArguments),
        (lambda q: q.enqueue("nobody.knows"), UnknownJobType),
        (lambda q: q.enqueue(42), InvalidRequest),
        (lambda q: q.enqueue(send, "x" * 2_000_000), PayloadTooLarge),
        (lambda q: send.options(priority=101), InvalidOption),
        (lambda q: untyped_send.options(nonsense=1), InvalidOption),
        (lambda q: q.enqueue_many([send.item("a"), untyped_send.item(5)]), InvalidArguments),
        (lambda q: untyped_resize(["no dict"]), InvalidOption),
        (lambda q: q.enqueue(send.item("a"), "b"), InvalidRequest),
        (lambda q: send.options(depends_on=tq.new_id()).enqueue("a"), InvalidRequest),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_stored(
    bench: Bench, call: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(bench.q)
    assert len(bench.q.jobs()) == 0


def test_an_option_among_the_arguments_gets_advice(bench: Bench) -> None:
    with pytest.raises(InvalidArguments, match=r"\.options\(priority=\.\.\.\)"):
        _ = bench.q.enqueue(send, "a", priority=10)


def test_many_at_once(bench: Bench) -> None:
    handles = bench.q.enqueue_many(send.item(str(i)) for i in range(3 * MAX_JOBS + 7))
    assert bench.host.asked.count("enqueue") == 4
    assert len({handle.id for handle in handles}) == len(handles)
    bench.work(rounds=100)
    assert tq.gather(handles, timeout=30) == [f"{i}: " for i in range(len(handles))]


def test_an_error_in_many_says_how_many_went_before(bench: Bench) -> None:
    items = [send.item("a")] * MAX_JOBS + [send.item(5)]  # type: ignore[arg-type]  # the point of it
    with pytest.raises(InvalidArguments) as refused:
        bench.q.enqueue_many(items)
    assert f"{MAX_JOBS:,} jobs" in refused.value.__notes__[0]


def test_classes(bench: Bench) -> None:
    first = Resize({"path": "a.png"}, priority=10)
    second = Resize({"path": "b.png"}, dependencies=[first.id])
    handles = [bench.q.push(first), bench.q.push(second)]
    assert handles[0].id == first.id
    record = handles[0].info()
    assert (record.queue, record.priority, record.tags) == ("images", 10, ("img",))
    assert handles[1].info().priority == 7
    bench.work()
    assert tq.gather(*handles, timeout=30) == ["a.png", "b.png"]
    assert bench.q.job(first.id).payload == {"path": "a.png", "done": first.id}


def test_functions_without_a_decorator(bench: Bench) -> None:
    handle = bench.q.enqueue(undecorated, 4)
    bench.work()
    assert handle.result(timeout=30) == 40


def test_a_local_function_takes_its_code_along_once(bench: Bench) -> None:
    factor = 3

    @tq.job
    def scaled(x: int) -> int:
        return x * factor

    handles = [scaled.enqueue(1), scaled.enqueue(2)]
    assert bench.host.asked.count("store_code") == 1
    bench.work()
    assert tq.gather(*handles, timeout=30) == [3, 6]


def test_a_job_can_enqueue_and_report(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQUEUE_ENCRYPTION_KEYS", bytes(32).hex())
    handle = parent.enqueue(2)
    bench.work()
    children = handle.result(timeout=30)
    assert [bench.q.handle(child).result(timeout=30) for child in children] == [
        "child 0: ",
        "child 1: ",
    ]
    assert [p.message for p in bench.channel.said.values()] == ["half"]


def test_results_after_the_record_has_gone_into_the_history(bench: Bench) -> None:
    handle = send.enqueue("a")
    bench.work()
    bench.fold()
    assert bench.host.engine.insights.job(handle.raw_id) is None
    assert handle.result(timeout=30) == "a: "
    assert handle.info().state is tq.JobState.COMPLETED


def held_future(bench: Bench, handle: tq.JobHandle[Any]) -> Any:
    """The future of the first job that is waited for, once the queue holds the call."""
    held = threading.Event()
    bench.transport.after["watch"] = held.set
    future = handle.future()
    assert held.wait(30)
    return future


def test_waiting_survives_a_restart_of_the_queue(bench: Bench) -> None:
    handle = send.enqueue("a")
    future = held_future(bench, handle)
    bench.restart()
    bench.work()
    assert future.result(30).state is tq.JobState.COMPLETED


def test_jobs_that_are_waited_for_later_join_the_same_poll(bench: Bench) -> None:
    first, second = send.enqueue("a"), send.options(delay="1h").enqueue("b")
    waiting = held_future(bench, second)
    assert first.future() is first.future()
    bench.work()
    assert first.result(timeout=30) == "a: "
    assert not waiting.done()
    bench.advance(3601)
    bench.work()
    assert waiting.result(30).state is tq.JobState.COMPLETED


def test_as_completed_gives_each_once(bench: Bench) -> None:
    handles = bench.q.enqueue_many([send.item("a"), break_down.item("x"), send.item("b")])
    bench.work()
    assert set(tq.as_completed(handles, timeout=30)) == set(handles)
    results = tq.gather(handles, timeout=30, return_exceptions=True)
    assert [type(result) for result in results] == [str, tq.JobFailed, str]
    with pytest.raises(tq.ResultTimeout):
        tq.gather(send.enqueue("never"), timeout=0)


def test_async_twins(bench: Bench) -> None:
    async def program() -> None:
        handle = await bench.q.aenqueue(send, "a")
        many = await bench.q.aenqueue_many([send.item("b"), send.item("c")])
        other = await send.aenqueue("d")
        assert (await handle.astatus()) is tq.JobState.PENDING
        bench.work()
        async with asyncio.timeout(30):
            assert await handle == "a: "
            assert await tq.agather(*many, other) == ["b: ", "c: ", "d: "]
            assert {h async for h in tq.aas_completed(many)} == set(many)
        assert (await bench.q.ajob(handle)).state is tq.JobState.COMPLETED
        assert len(await bench.q.ajobs(tag="mail")) == 4
        cancelled = await bench.q.aenqueue(send, "z")
        assert await cancelled.acancel()

    asyncio.run(program())


def test_one_who_gives_up_cancels_nobody_else(bench: Bench) -> None:
    handle = send.enqueue("a")

    async def program() -> None:
        waits = asyncio.ensure_future(handle.aresult())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)

    asyncio.run(program())
    bench.work()
    assert handle.result(timeout=30) == "a: "


def test_after_closing(bench: Bench) -> None:
    handle = send.enqueue("a")
    future = handle.future()
    bench.q.close()
    with pytest.raises(QueueClosed):
        future.result(30)
    with pytest.raises(QueueClosed):
        bench.q.stats()
    with pytest.raises(InvalidRequest, match="connect"):
        _ = send.enqueue("a")


def test_two_open_queues_make_a_bare_enqueue_an_error(bench: Bench) -> None:
    other = Bench(bench.host.clock.now())
    try:
        with pytest.raises(InvalidRequest, match="2 queues"):
            _ = send.enqueue("a")
        assert other.q.enqueue(send, "a").durable
    finally:
        other.q.close()
