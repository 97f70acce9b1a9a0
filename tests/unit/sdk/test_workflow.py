"""Workflows: jobs that belong together."""

import asyncio
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import flaky, send

PENDING, COMPLETED = tq.JobState.PENDING, tq.JobState.COMPLETED
FAILED, BLOCKED = tq.JobState.FAILED, tq.JobState.BLOCKED
untyped_send: Any = send


def test_all_is_stored_together_or_nothing(bench: Bench) -> None:
    with bench.q.workflow("nightly") as flow:
        first = flow.add(send, "a")
        second = flow.add(untyped_send, first, subject="again")
        with pytest.raises(tq.JobNotFound):
            first.info()
    assert second.status() is BLOCKED
    bench.work(30)
    assert second.result(timeout=30) == "a: : again"
    assert flow.counts() == {COMPLETED: 2}
    assert flow.wait(30) == {COMPLETED: 2}


def test_what_is_refused_stores_nothing(bench: Bench) -> None:
    flow = bench.q.workflow("nightly")
    good = flow.add(send, "a")
    _ = flow.add(untyped_send, bench.q.handle(tq.new_id()))
    with pytest.raises(InvalidRequest, match="does not know"):
        flow.start()
    with pytest.raises(tq.JobNotFound):
        good.info()


def test_a_wrong_call_is_refused_where_it_is_added(bench: Bench) -> None:
    flow = bench.q.workflow("nightly")
    good = flow.add(send, "a")
    with pytest.raises(tq.InvalidArguments):
        _ = flow.add(untyped_send, 1, 2, 3, 4)
    flow.start()
    assert flow.handles == [good]
    assert flow.counts() == {PENDING: 1}


def test_a_refused_start_may_be_repeated(bench: Bench) -> None:
    bench.q.queues.configure("mail", max_depth=1)
    flow = bench.q.workflow("nightly")
    for to in ("a", "b"):
        _ = flow.add(send, to)
    with pytest.raises(tq.QueueFull):
        flow.start()
    assert flow.counts() == {}
    bench.q.queues.configure("mail", max_depth=None)
    flow.start()
    assert flow.counts() == {PENDING: 2}


def test_a_block_that_raises_stores_nothing(bench: Bench) -> None:
    flow = bench.q.workflow("nightly")

    def build() -> None:
        with flow:
            _ = flow.add(send, "a")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        build()
    with pytest.raises(tq.JobNotFound):
        flow.handles[0].info()


def test_retry_goes_on_where_it_stopped(bench: Bench) -> None:
    with bench.q.workflow("nightly") as flow:
        done = flow.add(send, "a")
        broken = flow.add(flaky.options(max_attempts=1, depends_on=done), 1)
        last = flow.add(send.options(depends_on=[broken]), "last")
        wrong = flow.add(flaky.options(max_attempts=1), 2)
        after = flow.add(send.options(depends_on=[wrong]), "after")
    bench.work(30)
    assert flow.counts() == {COMPLETED: 3, FAILED: 1, BLOCKED: 1}
    assert last.status() is COMPLETED
    bench.restart()
    assert flow.retry() == [wrong.id]
    bench.work(30)
    assert after.status() is BLOCKED  # it failed again
    assert bench.q.why(after).facts["failed"] == 1
    assert flow.cancel("enough") == [after.id]
    with pytest.raises(tq.JobCancelled, match="enough"):
        after.result(timeout=30)


def test_a_workflow_can_be_found_and_added_to_while_it_runs(bench: Bench) -> None:
    with bench.q.workflow("nightly") as flow:
        _ = flow.add(send, "a")
    other = bench.q.workflow("nightly", id=flow.id)
    later = other.add(send, "b")
    assert {job.id for job in bench.q.jobs(workflow=flow.id)} >= {later.id}
    bench.work(30)
    bench.fold()
    assert other.counts() == {COMPLETED: 2}
    assert bench.q.workflow("nightly").counts() == {}
    assert len(bench.q.jobs(workflow=flow.id, state="completed")) == 2


def test_a_child_may_be_cancelled_with_its_parent(bench: Bench) -> None:
    with bench.q.workflow("nightly", on_parent_failure="cancel") as flow:
        broken = flow.add(flaky.options(max_attempts=1), 9)
        child = flow.add(send.options(depends_on=[broken]), "a")
    bench.work(30)
    assert child.status() is tq.JobState.CANCELLED


def test_it_starts_once_and_has_a_name(bench: Bench) -> None:
    flow = bench.q.workflow("nightly")
    _ = flow.add(send, "a")
    asyncio.run(flow.astart())
    with pytest.raises(InvalidRequest, match="started"):
        flow.start()
    for name, id in (("No Name", None), ("nightly", "other:1"), ("nightly", "nightly:" + "x" * 99)):
        with pytest.raises(InvalidOption, match="workflow"):
            bench.q.workflow(name, id=id)


def test_a_step_whose_unique_key_is_taken_stands_for_the_job_that_has_it(bench: Bench) -> None:
    unique = send.options(unique="daily")
    before = unique.enqueue("a")
    with bench.q.workflow("nightly") as flow:
        step = flow.add(unique, "b")
        after = flow.add(untyped_send, step)
    assert step.duplicate
    bench.work(30)
    assert step.result(timeout=30) == before.result(timeout=30)
    assert after.result(timeout=30) == "a: : "
