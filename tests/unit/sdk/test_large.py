"""Large payloads and results: through the whole of it, and how long they are kept."""

import asyncio
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.blobs import REFERENCE_SIZE
from taskqueue_ray.core.errors import (
    BlobLost,
    InvalidRequest,
    JobFailed,
    PayloadTooLarge,
    QueueFull,
)
from taskqueue_ray.engine.blobs import GRACE, REFUSED, SWEEP
from tests.inprocess import Bench

DAY = 86_400.0


@tq.job
def measure(data: bytes) -> int:
    return len(data)


@tq.job
def double(data: bytes) -> bytes:
    return data + data


@tq.job
async def adouble(data: bytes) -> bytes:
    return data + data


@tq.job(max_attempts=1)
def refuse(data: bytes) -> None:
    raise ValueError("no")


untyped_measure: Any = measure


@pytest.fixture
def large() -> Iterator[Bench]:
    """A queue that takes payloads of 16 MiB."""
    made = Bench(time.time(), max_payload=16 << 20)
    yield made
    made.q.close()


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress."""
    return Random(seed).randbytes(size)


def blobs(bench: Bench) -> list[str]:
    """The kinds of the blobs that are there."""
    return sorted(name.split("-")[1] for name in bench.host.fs.list("blobs"))


def collect(bench: Bench) -> None:
    """As much time passes as two looks for what is not needed."""
    for _ in range(3):
        bench.advance(SWEEP)


def test_payload_and_result_travel_beside_the_journal(large: Bench) -> None:
    handle = large.q.enqueue(double, noise(5_000_000))
    [job] = large.host.engine.state.jobs.values()
    assert len(job.payload) == REFERENCE_SIZE
    assert large.host.asked.count("put_blob") == 3
    assert large.q.job(handle).arguments == {"data": noise(5_000_000)}
    large.work()
    assert handle.result(timeout=30) == noise(5_000_000) * 2
    assert len(large.host.fs.read("journal/000000000001.log").rstrip(b"\0")) < 10_000
    assert blobs(large) == ["payload", "result"]


def test_what_is_small_asks_for_nothing_more(bench: Bench) -> None:
    _ = bench.q.enqueue(double, noise(60_000))
    bench.work()
    assert not bench.host.fs.exists("blobs")
    assert {"put_blob", "get_blob"}.isdisjoint(bench.host.asked)


def test_async_jobs_and_async_programs(large: Bench) -> None:
    async def program() -> bytes:
        handle = await large.q.aenqueue(adouble, noise(300_000))
        await asyncio.to_thread(large.work)
        result: bytes = await handle
        return result

    assert asyncio.run(program()) == noise(300_000) * 2


def test_batches_pipelines_and_workflows_with_some_large_items(large: Bench) -> None:
    sizes = [10, 400_000, 20, 900_000]
    many = large.q.enqueue_many(measure.item(noise(size)) for size in sizes)
    with large.q.pipeline() as pipeline:
        piped = [pipeline.enqueue(measure, noise(size)) for size in sizes]
    with large.q.workflow("flow") as flow:
        first = flow.add(double, noise(400_000))
        last = flow.add(untyped_measure, first)
    large.work(30)
    assert [handle.result(timeout=30) for handle in [*many, *piped]] == sizes * 2
    assert last.result(timeout=30) == 800_000


def test_a_workflow_that_is_given_up_leaves_no_job(large: Bench) -> None:
    flow = large.q.workflow("flow")
    _ = flow.add(measure, noise(400_000))
    assert not large.host.engine.state.jobs
    assert blobs(large) == ["payload"]
    large.advance(GRACE + 1)
    collect(large)
    assert blobs(large) == []


def test_what_is_refused_again_and_again_does_not_fill_the_disk(large: Bench) -> None:
    large.q.queues.configure("default", max_depth=1)
    stray = measure.options(queue="other", depends_on=tq.new_id())
    first = large.q.enqueue(measure.options(unique="key"), noise(400_000))
    for _ in range(3):
        assert large.q.enqueue(measure.options(unique="key"), noise(400_000)) == first
        with pytest.raises(QueueFull):
            _ = large.q.enqueue(measure, noise(400_000))
        with pytest.raises(InvalidRequest, match="does not know"):
            _ = large.q.enqueue(stray, noise(400_000))
    assert len(blobs(large)) == 10
    large.advance(REFUSED + SWEEP)
    collect(large)
    assert len(blobs(large)) == 1
    large.work()
    assert first.result(timeout=30) == 400_000


def test_above_the_limit_nothing_is_stored(bench: Bench) -> None:
    with pytest.raises(PayloadTooLarge, match=r"limit is 1,048,576.*max_payload"):
        _ = bench.q.enqueue(measure, noise(1_100_000))
    assert not bench.host.engine.state.jobs
    assert not bench.host.fs.exists("blobs")


def test_a_restart_keeps_them(large: Bench) -> None:
    handle = large.q.enqueue(double, noise(400_000))
    large.restart()
    large.fold()
    large.restart()
    large.work()
    large.restart()
    assert handle.result(timeout=30) == noise(400_000) * 2


def test_the_queue_restarts_while_one_is_sent(large: Bench) -> None:
    large.transport.after["put_blob"] = large.restart
    handle = large.q.enqueue(measure, noise(5_000_000))
    assert large.host.asked.count("put_blob") == 5  # one, its repeat from the start, and the rest
    large.work()
    assert handle.result(timeout=30) == 5_000_000
    assert blobs(large) == ["payload"]


def test_the_queue_restarts_between_blob_and_enqueue(large: Bench) -> None:
    with large.q.pipeline() as pipeline:
        handle = pipeline.enqueue(measure, noise(400_000))
        large.restart()
    large.work()
    assert handle.result(timeout=30) == 400_000


def test_a_payload_goes_when_its_job_is_in_the_history(large: Bench) -> None:
    handle = large.q.enqueue(double, noise(400_000))
    large.work()
    collect(large)
    assert blobs(large) == ["payload", "result"]
    large.fold()
    assert blobs(large) == ["result"]
    assert handle.result(timeout=30) == noise(400_000) * 2
    record = large.q.job(handle)
    with pytest.raises(BlobLost, match=f"payload of job {handle.id}.*after its job has ended"):
        _ = record.arguments
    assert record.to_dict()["arguments"] is None
    [row] = large.q.history().to_arrow().to_pylist()
    assert len(row["payload"]) == REFERENCE_SIZE


def test_a_result_goes_when_memory_forgets_its_job(large: Bench) -> None:
    handle = large.q.enqueue(double, noise(400_000))
    large.work()
    large.fold()
    large.restart()
    large.advance(DAY - 100)
    _ = large.q.enqueue(measure, b"")
    large.work()
    large.fold()
    assert blobs(large) == ["result"]
    large.advance(200)
    _ = large.q.enqueue(measure, b"")
    large.work()
    large.fold()
    collect(large)
    assert blobs(large) == []
    with pytest.raises(BlobLost, match="result"):
        handle.result(timeout=30)


def test_a_result_stays_for_a_job_that_needs_it(large: Bench) -> None:
    first = large.q.enqueue(double, noise(400_000))
    second = untyped_measure.options(queue="second").enqueue(first)
    large.q.pause("second")
    large.work()
    large.fold()
    for _ in range(2):
        large.advance(2 * DAY)
        _ = large.q.enqueue(double, b"")
        large.work()
        large.fold()
    assert blobs(large) == ["result"]
    large.q.resume("second")
    large.work()
    assert second.result(timeout=30) == 800_000


def test_a_dead_letter_keeps_its_payload(large: Bench) -> None:
    handle = large.q.enqueue(refuse, noise(400_000))
    large.work()
    large.fold()
    large.restart()
    large.advance(3 * DAY)
    collect(large)
    assert blobs(large) == ["payload"]
    large.q.redrive(handle)
    large.work()
    with pytest.raises(JobFailed, match="no"):
        handle.result(timeout=30)
    large.fold()
    large.q.delete(handle)
    collect(large)
    assert blobs(large) == []


def test_deleting_a_job_drops_its_result(large: Bench) -> None:
    at_hand, in_history = large.q.enqueue_many(double.item(noise(400_000, n)) for n in range(2))
    large.work()
    large.q.delete(at_hand)
    collect(large)
    assert blobs(large) == ["payload", "result"]
    large.fold()
    large.q.delete(in_history)
    collect(large)
    assert blobs(large) == []


def test_a_cancelled_job_leaves_nothing(large: Bench) -> None:
    handle = large.q.enqueue(measure, noise(400_000))
    handle.cancel()
    large.fold()
    collect(large)
    assert blobs(large) == []


def test_repeating_an_enqueue_is_the_same_job(large: Bench) -> None:
    id = tq.new_id()
    for _ in range(2):
        handle = large.q.enqueue(double.options(id=id), noise(400_000))
    assert large.q.stats("default").total == 1
    large.work()
    large.fold()
    collect(large)
    assert blobs(large) == ["result"]
    again = large.q.enqueue(double.options(id=id), noise(400_000))
    assert (again, large.work()) == (handle, 0)
    assert again.result(timeout=30) == noise(400_000) * 2


@pytest.mark.parametrize("how", ["gone", "cut", "changed"])
def test_a_damaged_payload_is_a_failed_attempt_with_its_reason(large: Bench, how: str) -> None:
    handle = large.q.enqueue(measure.options(max_attempts=1), noise(400_000))
    [name] = [f"blobs/{name}" for name in large.host.fs.list("blobs")]
    file = large.host.fs._files[name]
    words = {"gone": "is not there", "cut": "bytes instead of", "changed": "SHA-256 does not fit"}
    if how == "gone":
        large.host.fs.remove(name)
    elif how == "cut":
        del file[300_000:]
    else:
        file[200_000] ^= 1
    large.work()
    with pytest.raises(JobFailed, match=words[how]) as failed:
        handle.result(timeout=30)
    assert failed.value.error_type.endswith("BlobLost")


def test_an_enqueue_that_comes_too_late_is_refused(large: Bench) -> None:
    """A block that is open for days: what it had sent first was taken for forgotten."""
    flow = large.q.workflow("flow")
    _ = flow.add(measure, noise(400_000))
    large.advance(GRACE + 1)
    collect(large)
    with pytest.raises(BlobLost, match="enqueue it again"):
        flow.start()
    assert not large.host.engine.state.jobs
