"""Batches of jobs, and the jobs that run after them."""

import asyncio
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import BatchEnded, InvalidOption
from tests.inprocess import Bench

BLOCKED, CANCELLED, COMPLETED = tq.JobState.BLOCKED, tq.JobState.CANCELLED, tq.JobState.COMPLETED
PENDING, FAILED = tq.JobState.PENDING, tq.JobState.FAILED
told: list[tuple[str, Any]] = []


@tq.job(max_attempts=1)
def load(row: int) -> int:
    if row < 0:
        raise ValueError("negative")
    return row


@tq.job
def numbers(count: int) -> list[int]:
    return list(range(count))


@tq.job
def spread(batch: str, rows: list[int]) -> None:
    with tq.connect() as q:
        for row in rows:
            _ = q.batch(id=batch).add(load, row)


@tq.job
def succeeded(summary: tq.BatchSummary) -> str:
    told.append(("success", summary))
    return summary.id


@tq.job
def completed(to: str, result: tq.BatchSummary, loud: bool = False) -> None:
    told.append((to, result))


@tq.job
def failed() -> None:
    told.append(("failure", None))


@tq.job
def plain(summary) -> None:  # type: ignore[no-untyped-def]
    told.append(("plain", summary))


@tq.job(max_attempts=1)
def broken() -> None:
    raise RuntimeError("the callback")


untyped: Any = completed


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQUEUE_ENCRYPTION_KEYS", bytes(32).hex())
    told.clear()


def _work(bench: Bench) -> None:
    while bench.work(50):
        pass


def _names() -> list[str]:
    return sorted(name for name, _ in told)


def _batch(bench: Bench, *rows: int) -> Any:
    done = untyped.item("ops")
    with bench.q.batch("rows", on_success=succeeded, on_complete=done, on_failure=failed) as batch:
        for row in rows:
            _ = batch.add(load, row)
    return batch


def test_all_completed(bench: Bench) -> None:
    batch = _batch(bench, 1, 2, 3)
    assert (batch.progress().done, batch.progress().total) == (0, 3)
    _work(bench)
    assert _names() == ["ops", "success"]
    summary = dict(told)["success"]
    assert summary == tq.BatchSummary(batch.id, 3, 3, 0, {COMPLETED: 3})
    assert summary == batch.wait(30) == bench.q.batch(id=batch.id).progress()
    assert batch.callback("on_success").result(timeout=30) == batch.id
    assert batch.callback("on_failure").info().reason == "unneeded"


def test_one_failed_and_is_redriven_later(bench: Bench) -> None:
    batch = _batch(bench, 1, -2)
    _work(bench)
    assert _names() == ["failure", "ops"]
    assert dict(told)["ops"].counts == {COMPLETED: 1, FAILED: 1}
    assert (batch.progress().done, batch.progress().failed) == (2, 1)
    assert batch.callback("on_success").status() is BLOCKED
    told.clear()
    assert len(batch.retry()) == 1
    _work(bench)
    assert told == []  # it failed again, and has told so before


def test_success_comes_with_the_redrive_that_completes_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = _batch(bench, 1, -2)
    _work(bench)
    monkeypatch.setattr(load.job_type, "target", lambda row: row)
    assert len(batch.retry()) == 1
    _work(bench)
    assert _names() == ["failure", "ops", "success"]
    assert batch.wait(30).failed == 0


def test_cancelling_ends_the_batch(bench: Bench) -> None:
    batch = _batch(bench, 1, 2)
    assert len(batch.cancel("enough")) == 2
    _work(bench)
    assert _names() == ["failure", "ops"]
    assert batch.callback("on_success").status() is CANCELLED
    assert dict(told)["ops"].counts == {CANCELLED: 2}


def test_an_empty_batch_is_complete(bench: Bench) -> None:
    batch = _batch(bench)
    _work(bench)
    assert _names() == ["ops", "success"]
    assert dict(told)["success"].total == 0
    assert batch.wait(1).total == 0
    with pytest.raises(tq.JobNotFound):
        batch.callback("on_failure").info()


def test_all_or_nothing_is_stored(bench: Bench) -> None:
    bench.q.queues.configure("default", max_depth=2)
    with pytest.raises(tq.QueueFull):
        _batch(bench, 1, 2)
    assert bench.q.stats("default").total == 0
    with pytest.raises(ZeroDivisionError), bench.q.batch("b", on_complete=failed) as batch:
        _ = [batch.add(load, 1), batch.add(load, 1 // 0)]
    assert bench.q.stats("default").total == 0


def test_a_summary_without_annotation_is_a_dict(bench: Bench) -> None:
    with bench.q.batch("b", on_complete=plain) as batch:
        _ = batch.add(load, 1)
    _work(bench)
    assert told == [
        ("plain", {"id": batch.id, "total": 1, "done": 1, "failed": 0, "counts": {"completed": 1}})
    ]


def test_a_callback_that_raises_is_a_failed_job(bench: Bench) -> None:
    with bench.q.batch("b", on_success=broken, on_complete=failed) as batch:
        _ = batch.add(load, 1)
    _work(bench)
    assert batch.callback("on_success").status() is FAILED
    assert _names() == ["failure"]
    assert batch.wait(30).failed == 0


def test_callbacks_wait_for_jobs_that_the_jobs_add(bench: Bench) -> None:
    with bench.q.batch("b", on_success=succeeded, on_complete=untyped.item("ops")) as batch:
        _ = batch.add(spread, batch.id, [5, 6, 7])
    bench.work(1)
    bench.vanish()
    _work(bench)
    assert dict(told)["success"].total >= 4
    assert sorted(_names()) == ["ops", "success"]


def test_adding_from_elsewhere_while_it_runs_and_not_after(bench: Bench) -> None:
    batch = _batch(bench, 1)
    again = bench.q.batch("rows", id=batch.id)
    late = again.add(load, -1)
    _work(bench)
    assert late.status() is FAILED
    assert _names() == ["failure", "ops"]
    assert again.progress().total == 2
    with pytest.raises(BatchEnded, match="has ended"):
        _ = again.add(load, 2)
    bench.fold()
    with pytest.raises(BatchEnded):
        _ = bench.q.batch(id=batch.id).add(load, 2)
    assert again.progress().total == 2


def test_many_that_are_added_late_travel_together(bench: Bench) -> None:
    batch = _batch(bench, 1)
    again = bench.q.batch(id=batch.id)
    bench.host.asked.clear()
    handles = again.add_many(load.item(n) for n in range(600))
    assert bench.host.asked.count("enqueue") == 2
    bench.host.asked.clear()
    _ = [again.add(load, 7), again.add(load, 8)]
    assert bench.host.asked == ["enqueue"] * 2
    _work(bench)
    assert dict(told)["success"].total == 603
    assert handles[3].result(timeout=30) == 3
    with pytest.raises(BatchEnded):
        again.add_many([load.item(1)])


def test_many_that_are_added_before_the_start(bench: Bench) -> None:
    with bench.q.batch("b", on_success=succeeded) as batch:
        handles = batch.add_many([load.item(1), load.item(2)])
    assert batch.handles == handles
    _work(bench)
    assert dict(told)["success"].total == 2


def test_adding_after_one_was_cancelled(bench: Bench) -> None:
    batch = _batch(bench, 1, 2)
    assert batch.handles[0].cancel()
    assert batch.callback("on_success").status() is CANCELLED
    _ = batch.add(load, 3)
    _work(bench)
    assert _names() == ["failure", "ops"]
    assert dict(told)["ops"].counts == {COMPLETED: 2, CANCELLED: 1}


def test_a_map_in_a_batch(bench: Bench) -> None:
    with bench.q.batch("b", on_success=succeeded, on_complete=untyped.item("ops")) as batch:
        rows = batch.map(load, batch.add(numbers, 3))
    _work(bench)
    assert rows.result(timeout=30) == [0, 1, 2]
    assert dict(told)["success"].counts == {COMPLETED: 5}


def test_callbacks_wait_for_the_items_of_a_map_that_was_given_up(bench: Bench) -> None:
    with bench.q.batch("b", on_complete=untyped.item("ops")) as batch:
        rows = batch.map(load, [1, 2])
    bench.q.pause(type="tests.unit.sdk.test_callbacks.load")
    bench.work(5)
    assert bench.q.why(batch.callback("on_complete")).facts["awaited"] == 3
    assert rows.cancel()
    _work(bench)
    assert told == []
    bench.q.resume(type="tests.unit.sdk.test_callbacks.load")
    _work(bench)
    assert dict(told)["ops"].counts == {CANCELLED: 1, COMPLETED: 2}


def test_a_map_whose_callback_was_cancelled_fails_for_good(bench: Bench) -> None:
    with bench.q.batch("b", on_complete=failed) as batch:
        rows = batch.map(load, [1, 2])
    assert batch.callback("on_complete").cancel()
    _work(bench)
    assert rows.status() is FAILED


def test_callbacks_survive_a_restart(bench: Bench) -> None:
    batch = _batch(bench, 1, -1)
    bench.work(1)
    bench.vanish()
    bench.fold()
    bench.restart()
    _work(bench)
    assert _names() == ["failure", "ops"]
    assert batch.wait(30).counts == {COMPLETED: 1, FAILED: 1}


def test_waiting_has_a_limit(bench: Bench) -> None:
    batch = _batch(bench, 1)
    with pytest.raises(tq.ResultTimeout):
        batch.wait(0)
    with pytest.raises(tq.ResultTimeout, match="0 of 1"):
        bench.q.batch(id=batch.id).wait(0.01)


def test_async_code(bench: Bench) -> None:
    async def main() -> tq.BatchSummary:
        batch = bench.q.batch("b", on_complete=failed)
        _ = await batch.aadd(load, 1)
        await batch.astart()
        assert (await batch.aprogress()).total == 1
        await asyncio.to_thread(_work, bench)
        return await batch.await_end()

    assert asyncio.run(main()).done == 1


def test_what_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidOption, match="batch id"):
        bench.q.batch(id="nonsense")
    with pytest.raises(InvalidOption, match="batch"):
        bench.q.batch()
    batch = bench.q.batch("b")
    with pytest.raises(InvalidOption, match="an id alone"):
        bench.q.batch(id=batch.id, on_success=failed)
    with pytest.raises(InvalidOption, match="an id alone"):
        bench.q.batch("other", id=batch.id)
    with pytest.raises(InvalidOption, match="unique"):
        bench.q.batch("b", on_success=failed.options(unique=True))
    with pytest.raises(tq.InvalidRequest, match="no job"):
        bench.q.batch("b", on_success=7)
    with pytest.raises(InvalidOption, match="drop"):
        _ = batch.add(load.options(unique=tq.Unique(on_conflict="drop")), 1)
    with pytest.raises(InvalidOption, match="on_success"):
        _ = batch.callback("always")
    batch.start()
    with pytest.raises(tq.InvalidRequest, match="started already"):
        batch.start()
