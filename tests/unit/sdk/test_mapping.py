"""One job for each item of a list that another job returned."""

import time
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.blobs import REFERENCE_SIZE
from taskqueue_ray.core.errors import InvalidOption, QueueFull
from tests.inprocess import Bench

COMPLETED, BLOCKED, CANCELLED = tq.JobState.COMPLETED, tq.JobState.BLOCKED, tq.JobState.CANCELLED
attempts: dict[int, int] = {}


@dataclass
class Page:
    number: int


@tq.job
def numbers(count: int) -> list[int]:
    return list(range(count))


@tq.job
def square(n: int, *, plus: int = 0) -> int:
    return n * n + plus


@tq.job
def read(page: Page) -> Page:
    return Page(page.number + 1)


@tq.job(max_attempts=1)
def fragile(n: int) -> int:
    attempts[n] = attempts.get(n, 0) + 1
    if n == 2 and attempts[n] == 1:
        raise ValueError("two")
    return n


@tq.job
def total(parts: list[int | None]) -> int:
    return sum(part or 0 for part in parts)


@tq.job
def noise(count: int) -> list[bytes]:
    return [Random(n).randbytes(300_000) for n in range(count)]


@tq.job
def measure(data: bytes) -> int:
    return len(data)


@tq.job(batch=tq.Batch(max_size=4, max_wait=0))
def halves(numbers: list[int]) -> list[float]:
    return [n / 2 for n in numbers]


@tq.job(executor="actor", num_gpus=1, cancel_grace=3, backoff=lambda attempt, error: attempt)
def on_a_gpu(n: int) -> int:
    return n


@tq.job
def text() -> str:
    return "no list"


untyped_total: Any = total


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQUEUE_ENCRYPTION_KEYS", bytes(32).hex())
    attempts.clear()


def _work(bench: Bench) -> None:
    while bench.work(50):
        pass


def test_a_list_that_a_job_returns(bench: Bench) -> None:
    with bench.q.workflow("sizes") as flow:
        parts = flow.map(square, flow.add(numbers, 5), plus=1)
        whole = flow.add(untyped_total, parts)
    assert parts.status() is BLOCKED
    _work(bench)
    assert parts.result(timeout=30) == [1, 2, 5, 10, 17]
    assert whole.result(timeout=30) == 35
    assert flow.counts() == {COMPLETED: 8}
    assert parts.info().attempts == 1


def test_a_list_that_is_known(bench: Bench) -> None:
    with bench.q.workflow("pages") as flow:
        pages = flow.map(read, [Page(1), Page(2)])
        of_handles = flow.map(square, [flow.add(square, n) for n in (2, 3)])
        nothing = flow.map(square, [])
    _work(bench)
    assert pages.result(timeout=30) == [Page(2), Page(3)]
    assert of_handles.result(timeout=30) == [16, 81]
    assert nothing.result(timeout=30) == []
    assert bench.q.handle(pages.id).result(timeout=30) == [{"number": 2}, {"number": 3}]


def test_a_map_of_a_map(bench: Bench) -> None:
    with bench.q.workflow("twice") as flow:
        twice = flow.map(square, flow.map(square, flow.add(numbers, 4)))
    _work(bench)
    assert twice.result(timeout=30) == [0, 1, 16, 81]


def test_options_of_the_job_are_those_of_each(bench: Bench) -> None:
    with bench.q.workflow("images") as flow:
        given = square.options(queue="images", priority=7, tags=["a"], concurrency_key="k")
        parts = flow.map(given, flow.add(numbers, 3))
    bench.work(2)
    jobs = bench.q.jobs(workflow=flow.id, type="tests.unit.sdk.test_mapping.square")
    assert {(job.queue, job.priority, job.tags, job.max_attempts) for job in jobs} == {
        ("images", 7, ("a",), 3)
    }
    _work(bench)
    assert parts.result(timeout=30) == [0, 1, 4]


def test_a_crash_between_enqueueing_and_waiting_repeats_the_same_jobs(bench: Bench) -> None:
    with bench.q.workflow("crash") as flow:
        parts = flow.map(square, [1, 2, 3])
    bench.work(1)  # its children are there, and its outcome is lost
    bench.vanish()
    bench.restart()
    _work(bench)
    assert parts.result(timeout=30) == [1, 4, 9]
    assert flow.counts() == {COMPLETED: 4}


def test_many_items_go_in_batches_and_come_in_pages(bench: Bench) -> None:
    with bench.q.workflow("many") as flow:
        parts = flow.map(square, flow.add(numbers, 1_234))
    bench.host.asked.clear()
    _work(bench)
    assert parts.result(timeout=30) == [n * n for n in range(1_234)]
    # Its parent's list twice, three portions of results, and three of enqueues before.
    assert bench.host.asked.count("enqueue") == 4
    assert bench.host.asked.count("results") == 5


def test_a_failed_item_waits_for_a_retry_of_the_workflow(bench: Bench) -> None:
    with bench.q.workflow("again") as flow:
        parts = flow.map(fragile, flow.add(numbers, 4))
    _work(bench)
    assert parts.status() is BLOCKED
    assert len(flow.retry()) == 1
    _work(bench)
    assert parts.result(timeout=30) == [0, 1, 2, 3]
    assert attempts == {0: 1, 1: 1, 2: 2, 3: 1}


def test_a_failed_item_cancels_the_list_or_leaves_a_gap(bench: Bench) -> None:
    with bench.q.workflow("strict", on_parent_failure="cancel") as flow:
        strict = flow.map(fragile, [2, 3])
    _work(bench)
    assert strict.status() is CANCELLED
    attempts.clear()
    with bench.q.workflow("loose") as flow:
        loose = flow.map(fragile.options(on_parent_failure="continue"), [1, 2, 3])
    _work(bench)
    assert loose.result(timeout=30) == [1, None, 3]


def test_cancelling_the_workflow_takes_the_children_along(bench: Bench) -> None:
    with bench.q.workflow("stop") as flow:
        parts = flow.map(square.options(priority=1), [1, 2, 3])
    bench.q.pause(type="tests.unit.sdk.test_mapping.square")
    bench.work(5)
    assert len(flow.cancel()) == 4
    assert parts.status() is CANCELLED
    assert flow.counts() == {CANCELLED: 4}


def test_a_full_queue_is_waited_for(bench: Bench) -> None:
    bench.q.queues.configure("small", max_depth=3)
    with bench.q.workflow("slow") as flow:
        parts = flow.map(square.options(queue="small"), [1, 2, 3, 4, 5])
    bench.work(2)
    assert parts.status() is tq.JobState.SCHEDULED
    with pytest.raises(QueueFull):
        bench.q.enqueue_many(square.options(queue="small").item(n) for n in range(5))
    bench.q.queues.configure("small", max_depth=10)
    bench.advance(11)
    _work(bench)
    assert parts.result(timeout=30) == [1, 4, 9, 16, 25]


def test_large_items_go_beside_the_journal_too() -> None:
    bench = Bench(time.time(), max_payload=16 << 20)
    with bench.q.workflow("images") as flow:
        parts = flow.map(measure, flow.add(noise, 3))
    bench.work(2)
    waiting = [
        job for job in bench.host.engine.state.jobs.values() if job.options.type.endswith("measure")
    ]
    assert [len(job.payload) for job in waiting] == [REFERENCE_SIZE] * 3
    _work(bench)
    assert parts.result(timeout=30) == [300_000] * 3
    bench.q.close()


def test_a_map_of_a_vectorized_job(bench: Bench) -> None:
    with bench.q.workflow("halves") as flow:
        parts = flow.map(halves, [1, 2, 3])
    _work(bench)
    assert parts.result(timeout=30) == [0.5, 1.0, 1.5]


def test_the_job_that_stands_for_the_list_needs_no_gpu(bench: Bench) -> None:
    with bench.q.workflow("gpu") as flow:
        parts = flow.map(on_a_gpu, [1])
    whole = bench.host.engine.state.jobs[parts.raw_id].options
    assert (whole.executor, whole.shape, whole.own_backoff) == ("process", None, False)
    assert whole.cancel_grace is None
    bench.work(1)
    [item] = [job.options for job in bench.host.engine.state.jobs.values() if job.options.shape]
    assert item.shape is not None
    assert (item.executor, item.shape.num_gpus, item.own_backoff) == ("actor", 1.0, True)


def test_what_is_no_list_fails_for_good(bench: Bench) -> None:
    with bench.q.workflow("wrong") as flow:
        parts = flow.map(square, flow.add(text))
    _work(bench)
    with pytest.raises(tq.JobFailed, match="no list"):
        parts.result(timeout=30)


def test_wrong_calls_are_refused_where_they_are_made(bench: Bench) -> None:
    flow = bench.q.workflow("wrong")
    source = flow.add(numbers, 3)
    untyped: Any = flow.map
    with pytest.raises(tq.InvalidArguments, match="'n'"):
        untyped(square, ["a"])
    with pytest.raises(tq.InvalidArguments, match="no parameter 'minus'"):
        untyped(square, source, minus=1)
    with pytest.raises(tq.InvalidArguments, match="takes 0"):
        untyped(text, source)
    with pytest.raises(tq.InvalidArguments, match="a list"):
        untyped(square, 7)
    with pytest.raises(tq.InvalidRequest, match="without arguments"):
        untyped(square.item(1), source)
    with pytest.raises(InvalidOption, match="only"):
        untyped(square.options(on_parent_failure="only"), source)
    with pytest.raises(InvalidOption, match="unique"):
        untyped(square.options(unique=True), source)
    flow.start()
    assert flow.counts() == {tq.JobState.PENDING: 1}


def test_counts_of_a_workflow_that_ended_long_ago_come_from_the_history(bench: Bench) -> None:
    with bench.q.workflow("old") as flow:
        for n in range(3):
            _ = flow.add(square, n)
    _work(bench)
    bench.fold()
    bench.advance(3 * 24 * 3600.0)
    _ = bench.q.enqueue(square, 1)
    _work(bench)
    bench.fold()
    assert not bench.host.engine.state.workflows
    assert flow.counts() == {COMPLETED: 3}
