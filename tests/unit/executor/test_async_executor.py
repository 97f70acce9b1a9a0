"""Coroutines: many at a time, each to blame only for itself."""

import asyncio
import socket
import time

import pytest

from taskqueue_ray.core.exchange import Grant, OutcomeKind
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.executor.cell import Cell
from taskqueue_ray.executor.loop import AsyncExecutor
from taskqueue_ray.executor.messages import Done, Frames, decode_report
from taskqueue_ray.executor.runs import Run
from tests.unit.executor.lab import Lab, lab

COMPLETED, ERRORED = OutcomeKind.COMPLETED, OutcomeKind.ERRORED
CANCELLED, RELEASED = OutcomeKind.CANCELLED, OutcomeKind.RELEASED


@lab()
async def test_five_hundred_sleep_at_once(it: Lab) -> None:
    began = time.monotonic()
    ids = it.submit_many("async_sleep", [(1.0,)] * 500)
    await it.until(lambda: len(it.executors.running()) == 500)
    for job_id in ids:
        assert (await it.outcome(job_id)).kind is COMPLETED
    assert time.monotonic() - began < 10
    assert len(it.executors.pids()) == 1


@lab(async_limit=3)
async def test_the_limit_holds(it: Lab) -> None:
    ids = it.submit_many("async_sleep", [(0.05,)] * 10)
    most = 0
    while len(it.outcomes) < 10:
        most = max(most, len(it.executors.running()))
        await asyncio.sleep(0)
    assert most == 3
    assert {it.outcomes[job_id][0].kind for job_id in ids} == {COMPLETED}


@lab()
async def test_outcomes(it: Lab) -> None:
    assert await it.result("async_echo", "hello") == "hello"
    assert await it.result("async_gather", 50) == sum(range(50))
    for name, error_type in [
        ("async_boom", "ValueError"),
        ("async_exit", "SystemExit"),
        ("async_timeout_of_its_own", "TimeoutError"),
    ]:
        outcome = await it.run(name)
        assert outcome.failure is not None
        assert (outcome.failure.cause, outcome.failure.error_type) == ("error", error_type)


@lab()
async def test_each_coroutine_has_its_own_context(it: Lab) -> None:
    for job_id in it.submit_many("async_id", [()] * 50):
        assert it.opened(await it.outcome(job_id), "async_id") == job_id.hex()


@lab()
async def test_a_timeout_cancels_one_coroutine(it: Lab) -> None:
    neighbour = it.submit("async_sleep", 0.6)
    late = it.submit("async_sleep", 60.0, timeout=0.2)
    outcome = await it.outcome(late)
    assert outcome.failure is not None
    assert outcome.failure.cause == "timeout"
    assert (await it.outcome(neighbour)).kind is COMPLETED
    assert it.nothing_happened()


@lab()
async def test_a_swallowed_timeout_costs_the_process_and_no_neighbour(it: Lab) -> None:
    began = time.monotonic()
    stubborn = it.submit("async_swallow", timeout=0.2)
    neighbour = it.submit("async_sleep", 60.0)
    outcome = await it.outcome(stubborn)
    assert time.monotonic() - began < 2.2
    assert outcome.failure is not None
    assert outcome.failure.cause == "timeout"
    assert (await it.outcome(neighbour)).kind is RELEASED
    assert await it.result("async_echo", "next") == "next"


@lab()
async def test_a_blocked_loop_is_the_blockers_fault(it: Lab) -> None:
    starved = it.submit("async_sleep", 0.5, timeout=0.6)
    blocker = it.submit("async_block", 60.0, timeout=100.0)
    outcome = await it.outcome(blocker)
    assert outcome.failure is not None
    assert (outcome.failure.cause, outcome.failure.error_type) == ("timeout", "EventLoopBlocked")
    assert (await it.outcome(starved)).kind is RELEASED


@pytest.mark.parametrize("name", ["async_segfault", "async_segfault_in_task"])
def test_a_segfault_is_blamed_on_the_one_on_the_loop(name: str) -> None:
    @lab()
    async def scenario(it: Lab) -> None:
        neighbours = it.submit_many("async_sleep", [(60.0,)] * 20)
        await it.until(lambda: len(it.executors.running()) == 20)
        killer = it.submit(name)
        outcome = await it.outcome(killer)
        assert outcome.failure is not None
        assert outcome.failure.error_type == "SIGSEGV"
        for job_id in neighbours:
            assert (await it.outcome(job_id)).kind is RELEASED

    scenario()


@lab()
async def test_cancel(it: Lab) -> None:
    running = it.submit("async_sleep", 60.0)
    await it.until(lambda: it.executors.running() == [running])
    it.executors.cancel([running])
    assert (await it.outcome(running)).kind is CANCELLED
    assert it.nothing_happened()


@lab(cancel_grace=0.0)
async def test_no_grace_costs_the_coroutines_beside_it_nothing(it: Lab) -> None:
    cancelled, beside = it.submit_many("async_sleep", [(60.0,), (0.3,)])
    await it.until(lambda: len(it.executors.running()) == 2)
    it.executors.cancel([cancelled])
    assert (await it.outcome(cancelled)).kind is CANCELLED
    assert it.opened(await it.outcome(beside), "async_sleep") == 0.3
    assert it.nothing_happened()


@lab()
async def test_cancelled_before_the_first_step(it: Lab) -> None:
    await it.result("async_echo", "warm")
    ids = it.submit_many("async_sleep", [(60.0,)] * 100)
    it.executors.cancel(ids)
    for job_id in ids:
        assert (await it.outcome(job_id)).kind is CANCELLED
    assert it.nothing_happened()


@lab()
async def test_calls_do_not_block_the_loop(it: Lab) -> None:
    release = asyncio.Event()

    async def slow(method: str, request: bytes) -> bytes:
        await release.wait()
        return b"answer"

    it.answer = slow
    waiting = it.submit("async_ask", "enqueue", b"x")
    await it.until(lambda: it.calls)
    assert await it.result("async_echo", "meanwhile") == "meanwhile"
    release.set()
    assert it.opened(await it.outcome(waiting), "async_ask") == b"answer"


def test_a_cancel_that_comes_before_the_first_step_is_answered() -> None:
    # In one process, since the order of the two is a matter of microseconds between processes.
    ours, theirs = socket.socketpair()
    ours.settimeout(5.0)
    cell = Cell.make(1)
    executor = AsyncExecutor(theirs, cell, None, ())
    loop, job_id = executor._loop, JobId(bytes(16))
    executor._todo.append(Run(1, Grant(job_id, 7, 8, 1, 0, b""), Options(queue="q", type="x")))
    executor._channel._cancelled.add(job_id)
    executor._fill()
    executor._cancel_tasks([job_id])
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    executor._outbox.flush(time.monotonic())
    [report] = [decode_report(body) for body in Frames().feed(ours.recv(65536))]
    assert isinstance(report, Done)
    assert [(ordinal, outcome.kind) for ordinal, outcome in report.runs] == [(1, CANCELLED)]
    loop.close()
    cell.close()
    for end in (ours, theirs):
        end.close()
