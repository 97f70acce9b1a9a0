"""What jobs can be told, in combination: each pair that meets in a user's program."""

import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

import taskqueue_ray as tq
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send

COMPLETED = tq.JobState.COMPLETED
HOUR = 3600.0
runs: list[object] = []


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQUEUE_ENCRYPTION_KEYS", bytes(32).hex())
    runs.clear()


@pytest.fixture
def large() -> Iterator[Bench]:
    made = Bench(time.time(), max_payload=16 << 20)
    yield made
    made.q.close()


@tq.job
def square(x: int) -> int:
    return x * x


@tq.job
def plan_and_gather(count: int) -> int:
    """Remembers what it has started, and waits for it."""
    here = tq.current()
    ids = here.checkpoint()
    runs.append(ids)
    if ids is None:
        ids = [square.enqueue(n).id for n in range(count)]
        here.checkpoint(ids)
    return sum(tq.wait_for([tq.connect().handle(one) for one in ids]))


def test_a_job_that_waits_finds_what_it_saved_before(bench: Bench) -> None:
    handle = bench.q.enqueue(plan_and_gather, 3)
    bench.work(1)
    bench.restart()
    bench.work()
    assert handle.result() == 0 + 1 + 4
    assert runs[0] is None
    assert None not in runs[1:], "the restart took the first run's answer, but not what it saved"
    assert bench.q.stats("default").completed == 4, "its children were enqueued once"


@tq.job
def measured(data: bytes, fail: bool = False) -> bytes:
    if fail and tq.current().job.priority < 50:
        raise ValueError("not yet")
    return data[::-1]


@tq.job
def check(data: bytes) -> int:
    return len(data)


def test_a_large_payload_outlives_its_dead_letter_and_goes_with_other_options(large: Bench) -> None:
    data = Random(1).randbytes(300_000)
    handle = large.q.enqueue(measured.options(max_attempts=1), data, fail=True)
    large.work()
    large.fold()
    large.restart()
    for _ in range(3):
        large.advance(HOUR)
    assert handle.status() is tq.JobState.FAILED
    large.q.redrive(handle, options={"priority": 60, "queue": "second"})
    large.work()
    assert handle.result() == data[::-1]
    assert handle.info().arguments["data"] == data


def test_a_large_result_is_handed_on_after_its_job_is_in_the_history(large: Bench) -> None:
    data = Random(1).randbytes(300_000)
    first = large.q.enqueue(measured, data)
    large.work()
    untyped: Any = check
    later = large.q.enqueue(untyped.options(delay=10 * HOUR), first)
    large.fold()
    for _ in range(11):
        large.advance(HOUR)
    large.work()
    assert later.result() == 300_000


def test_records_that_are_dropped_do_not_change_what_became_of_a_workflow(bench: Bench) -> None:
    bench.q.queues.configure("mail", retention="1h")
    with bench.q.workflow("nightly") as flow:
        _ = flow.add(send, "a")
        _ = flow.add(send, "b")
    for _ in range(2):
        bench.work()
        bench.fold()
        bench.advance(2 * HOUR)
        _ = bench.q.enqueue(square, 2)
    bench.work()
    bench.fold()
    assert "mail" not in bench.q.history().to_arrow()["queue"].to_pylist()
    assert flow.counts() == {COMPLETED: 2}
    assert flow.wait(5) == {COMPLETED: 2}


def test_a_batch_calls_back_though_its_records_are_dropped_at_once(bench: Bench) -> None:
    bench.q.queues.configure("mail", retention="1s")
    with bench.q.batch("news", on_success=square.item(2)) as batch:
        _ = batch.add(send.options(delay="1h"), "late")
        _ = batch.add(send, "early")
    bench.work()
    bench.advance(10)
    bench.fold()
    bench.advance(2 * HOUR)
    bench.work()
    assert batch.callback("on_success").result() == 4
    assert batch.wait(5).counts == {COMPLETED: 2}


def test_a_unique_job_may_be_ordered_by_the_same_key(bench: Bench) -> None:
    one = send.options(unique=True, concurrency_key="k", fair_key="tenant")
    first = bench.q.enqueue(one, "a")
    again = bench.q.enqueue(one, "a")
    other = bench.q.enqueue(one, "b")
    assert again.id == first.id
    bench.work()
    assert other.result() == "b: "
    assert bench.q.enqueue(one, "a").id != first.id


def test_a_job_expires_while_it_waits_for_its_key(bench: Bench) -> None:
    held = bench.q.enqueue(square.options(concurrency_key="k", delay="0s"), 2)
    bench.vanish()
    brief = bench.q.enqueue(square.options(concurrency_key="k", expires="5s"), 3)
    child = bench.q.enqueue(square.options(depends_on=[brief], on_parent_failure="continue"), 4)
    bench.advance(6)
    assert brief.status() is tq.JobState.EXPIRED
    bench.work()
    assert held.result() == 4
    assert child.result() == 16
