"""Jobs that enqueue others and go on when these have ended."""

from typing import Any

import pytest

import taskqueue_ray as tq
from tests.inprocess import Bench

runs: list[str] = []


@tq.job
def square(n: int) -> int:
    return n * n


@tq.job(max_attempts=1)
def fragile(n: int) -> int:
    if n == 2:
        raise ValueError("two")
    return n


@tq.job(max_attempts=1)
def total(count: int) -> int:
    runs.append("total")
    here = tq.current()
    parts = [square.options(id=here.child_id(n)).enqueue(n) for n in range(count)]
    return sum(tq.wait_for(parts))


@tq.job(max_attempts=1)
async def total_async(count: int) -> int:
    here = tq.current()
    parts = [await square.options(id=here.child_id(n)).aenqueue(n) for n in range(count)]
    return sum(await tq.await_for(parts))


@tq.job(max_attempts=1)
def shaky() -> list[int | None]:
    here = tq.current()
    return tq.wait_for([fragile.options(id=here.child_id(n)).enqueue(n) for n in (1, 2, 3)])


@tq.job(max_attempts=1)
def selfish() -> None:
    tq.wait_for([tq.connect().handle(tq.current().job.id)])


@tq.job(max_attempts=1)
def lost() -> None:
    tq.wait_for([tq.connect().handle(tq.new_id())])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQUEUE_ENCRYPTION_KEYS", bytes(32).hex())


@pytest.mark.parametrize("job", [total, total_async])
def test_it_goes_on_with_the_results(bench: Bench, job: Any) -> None:
    runs.clear()
    handle = job.enqueue(5)
    bench.work(20)
    assert handle.result(timeout=30) == sum(n * n for n in range(5))
    assert handle.info().attempts == 1
    assert bench.q.stats("default").total == 6
    assert runs in ([], ["total", "total"])


def test_a_run_whose_end_got_lost_enqueues_nothing_anew(bench: Bench) -> None:
    handle = total.enqueue(4)
    bench.work(1)  # the outcome never comes
    bench.vanish()
    bench.work(20)
    assert handle.result(timeout=30) == 14
    assert bench.q.stats("default").total == 5


def test_nothing_to_wait_for(bench: Bench) -> None:
    handle = total.enqueue(0)
    bench.work(5)
    assert handle.result(timeout=30) == 0


def test_results_that_only_history_has(bench: Bench) -> None:
    handle = total.enqueue(3)
    bench.work(2)
    bench.fold()
    bench.restart()
    bench.work(20)
    assert handle.result(timeout=30) == 5


def test_a_failed_child_cancels_it_or_gives_none(bench: Bench) -> None:
    cancelled = shaky.enqueue()
    goes_on = shaky.options(on_parent_failure="continue").enqueue()
    waits = shaky.options(on_parent_failure="wait").enqueue()
    bench.work(20)
    assert cancelled.status() is tq.JobState.CANCELLED
    assert goes_on.result(timeout=30) == [1, None, 3]
    assert waits.status() is tq.JobState.BLOCKED
    assert "failed" in bench.q.why(waits).sentence


def test_what_cannot_be_waited_for_fails(bench: Bench) -> None:
    itself, unknown = selfish.enqueue(), lost.enqueue()
    bench.work(20)
    with pytest.raises(tq.JobFailed, match="itself"):
        itself.result(timeout=30)
    with pytest.raises(tq.JobFailed) as failure:
        unknown.result(timeout=30)
    assert "JobNotFound" in str(failure.value)


def test_outside_of_a_job_it_is_refused(bench: Bench) -> None:
    with pytest.raises(tq.InvalidRequest, match="running job"):
        tq.wait_for([square.enqueue(1)])
