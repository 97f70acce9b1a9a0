"""Moves of all jobs that fit a filter."""

import asyncio

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidOption
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import break_down, send


def _dead(bench: Bench) -> list[str]:
    """Three dead letters, the last in another queue."""
    jobs = [break_down.enqueue(why) for why in ("disk full", "no net")]
    jobs.append(break_down.options(queue="other", tags=["late"]).enqueue("no net"))
    bench.work()
    return [job.id for job in jobs]


def test_dead_letters_are_redriven_by_filter(bench: Bench) -> None:
    disk, net, other = _dead(bench)
    assert bench.q.redrive_all(queue="other", dry_run=True) == [other]
    assert bench.q.redrive_all(text="net", dry_run=True) == [net, other]
    assert bench.q.redrive_all(error="ValueError", text="disk", dry_run=True) == [disk]
    assert bench.q.redrive_all(error="KeyError") == []
    assert bench.q.redrive_all(type="nothing.such") == []
    assert len(bench.q.failed_jobs()) == 3
    assert bench.q.redrive_all(tag="late") == [other]
    assert set(bench.q.retry_all()) == {disk, net}
    assert len(bench.q.failed_jobs()) == 0


def test_dead_letters_are_redriven_with_other_options(bench: Bench) -> None:
    disk, net, other = _dead(bench)
    wish = {"queue": "slow", "priority": 9, "timeout": "5m", "max_attempts": 2}
    assert bench.q.redrive(disk, net, options=wish) == [disk, net]
    job = bench.q.job(disk)
    assert (job.queue, job.priority, job.max_attempts) == ("slow", 9, 2)
    assert bench.q.retry_all(queue="other", options={"tags": ["again"]}) == [other]
    job = bench.q.job(other)
    assert (job.queue, job.tags) == ("other", ("again",))
    bench.work()
    assert bench.q.job(disk).state is tq.JobState.SCHEDULED
    assert bench.q.job(other).error_type == "ValueError"
    with pytest.raises(InvalidOption, match="may change"):
        bench.q.redrive_all(options={"executor": "async"}, dry_run=True)


def test_a_portion_that_does_not_fit_says_what_moved_before(bench: Bench) -> None:
    bench.q.enqueue_many(break_down.item("x") for _ in range(502))
    bench.work(100)
    bench.q.queues.configure("slow", max_depth=501)
    with pytest.raises(tq.QueueFull) as refusal:
        bench.q.redrive_all(options={"queue": "slow"})
    assert refusal.value.__notes__ == ["500 jobs were moved before that"]
    assert len(bench.q.failed_jobs()) == 2
    assert asyncio.run(bench.q.aredrive_all(options={"queue": "default"}))


def test_a_redrive_that_comes_after_the_purge_moves_nothing(bench: Bench) -> None:
    disk, *_ = _dead(bench)
    assert bench.q.purge(state="failed", queue="default") == 2
    assert bench.q.redrive(disk, options={"queue": "slow"}) == []
    assert bench.q.stats("slow").total == 0


def test_what_waits_or_runs_is_cancelled_by_filter(bench: Bench) -> None:
    dead = _dead(bench)
    waiting = send.enqueue("a")
    later = send.options(delay="1h").enqueue("b")
    other = send.options(queue="other").enqueue("c")
    assert set(bench.q.cancel_all(dry_run=True)) == {waiting.id, later.id, other.id}
    assert bench.q.cancel_all(state="scheduled") == [later.id]
    assert bench.q.cancel_all(queue="mail", reason="no longer wanted") == [waiting.id]
    with pytest.raises(tq.JobCancelled, match="no longer wanted"):
        waiting.result(timeout=30)
    assert other.status() is tq.JobState.PENDING
    assert {job.id for job in bench.q.failed_jobs()} == set(dead)
    with pytest.raises(InvalidOption, match="state"):
        bench.q.cancel_all(state="completed")


def test_more_than_a_page(bench: Bench) -> None:
    handles = bench.q.enqueue_many(send.item(str(n)) for n in range(1203))
    assert len(bench.q.cancel_all(queue="mail")) == 1203
    assert {handle.status() for handle in handles[::100]} == {tq.JobState.CANCELLED}


def test_the_twins_do_the_same(bench: Bench) -> None:
    dead = _dead(bench)
    _ = send.enqueue("a")
    assert len(asyncio.run(bench.q.acancel_all())) == 1
    assert set(asyncio.run(bench.q.aredrive_all())) == set(dead)
