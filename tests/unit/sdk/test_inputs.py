"""Handles as arguments: a job depends on others and gets what they return."""

from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidArguments, InvalidRequest
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import Order, break_down, send, ship


@tq.job
def add(a: int, b: int = 1) -> int:
    return a + b


@tq.job
def total(parts: list[int], scale: int = 1) -> int:
    return sum(parts) * scale


@tq.job
def show(value: Any = "none given") -> str:
    return repr(value)


@tq.job
def nothing() -> None:
    return None


# A handle stands for a value, which no type checker knows.
untyped_add: Any = add
untyped_total: Any = total
untyped_send: Any = send
untyped_ship: Any = ship
untyped_show: Any = show


def test_a_chain_hands_results_on(bench: Bench) -> None:
    first = add.enqueue(1)
    second = untyped_add.enqueue(first, b=10)
    third = untyped_add.enqueue(b=second, a=100)
    assert third.status() is tq.JobState.BLOCKED
    assert bench.q.why(third).reason == "parents"
    bench.work(30)
    assert third.result(timeout=30) == 112


def test_a_list_of_handles_gathers(bench: Bench) -> None:
    parts = bench.q.enqueue_many(add.item(n) for n in range(10))
    whole = untyped_total.enqueue(parts, scale=2)
    bench.work(30)
    assert whole.result(timeout=30) == 2 * sum(range(1, 11))


def test_all_can_go_out_together(bench: Bench) -> None:
    with bench.q.pipeline() as pipeline:
        parts = [pipeline.enqueue(add, n) for n in range(3)]
        whole = pipeline.enqueue(untyped_total, parts)
    bench.work(30)
    assert whole.result(timeout=30) == 6


def test_results_come_in_the_types_of_the_parameter(bench: Bench) -> None:
    import uuid
    from datetime import UTC, datetime

    order = Order(uuid.uuid4(), datetime(2030, 1, 1, tzinfo=UTC), ("a",))
    again = untyped_ship.enqueue(ship.enqueue(order))
    bench.work(30)
    assert again.result(timeout=30) == Order(order.id, order.at, ("a", "shipped", "shipped"))


def test_a_result_that_does_not_fit_fails_the_child(bench: Bench) -> None:
    child = untyped_add.options(max_attempts=1).enqueue(send.enqueue("a"))
    bench.work(30)
    with pytest.raises(tq.JobFailed, match="no longer fits"):
        child.result(timeout=30)


def test_a_parent_that_returned_nothing_gives_none(bench: Bench) -> None:
    child = untyped_show.enqueue(nothing.enqueue())
    bench.work(30)
    assert child.result(timeout=30) == "None"


def test_a_parent_that_failed_cancels_or_gives_none(bench: Bench) -> None:
    parent = break_down.enqueue("x")
    cancelled = untyped_show.enqueue(parent)
    goes_on = untyped_show.options(on_parent_failure="continue").enqueue(parent)
    mixed = untyped_show.options(on_parent_failure="continue").enqueue([parent, add.enqueue(1)])
    bench.work(30)
    with pytest.raises(tq.JobCancelled, match="parent"):
        cancelled.result(timeout=30)
    assert goes_on.result(timeout=30) == "None"
    assert mixed.result(timeout=30) == "[None, 2]"


def test_results_are_found_in_the_history_too(bench: Bench) -> None:
    first = add.enqueue(1)
    bench.work()
    bench.fold()
    second = untyped_add.options(delay="1h").enqueue(first, 5)
    bench.restart()
    bench.advance(3601)
    bench.work(30)
    assert second.result(timeout=30) == 7


def test_the_arguments_of_such_a_job_are_checked_as_far_as_they_are_known(bench: Bench) -> None:
    parent = add.enqueue(1)
    with pytest.raises(InvalidArguments, match="'b'"):
        untyped_add.enqueue(parent, b="many")
    with pytest.raises(InvalidArguments, match="'a' is missing"):
        untyped_add.enqueue(b=parent)
    with pytest.raises(InvalidArguments, match="no parameter 'c'"):
        untyped_add.enqueue(1, c=parent)
    with pytest.raises(InvalidArguments):
        untyped_total.enqueue([parent, 3])


def test_a_handle_of_no_job_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="does not know"):
        untyped_add.enqueue(bench.q.handle(tq.new_id()))


def test_a_wide_fan_in(bench: Bench) -> None:
    parts = bench.q.enqueue_many(add.item(n) for n in range(1200))
    whole = untyped_total.enqueue(parts)
    while bench.work(50):
        pass
    assert whole.result(timeout=30) == sum(range(1, 1201))


def test_unique_jobs_differ_by_the_jobs_whose_results_they_take(bench: Bench) -> None:
    one, two = add.enqueue(1), add.enqueue(2)
    unique = untyped_add.options(unique=True)
    first, second, again = (unique.enqueue(handle) for handle in (one, two, one))
    assert first != second
    assert again == first
    bench.work(30)
    assert (first.result(timeout=30), second.result(timeout=30)) == (3, 4)
