"""Unique keys and time limits, as programs see them."""

import asyncio
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidOption
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import flaky, send


def test_the_handle_of_a_duplicate_stands_for_the_job_that_is_there(bench: Bench) -> None:
    unique = send.options(unique=True)
    first = unique.enqueue("a", subject="s")
    again = unique.enqueue("a", subject="s")
    other = unique.enqueue("b", subject="s")
    assert (first.duplicate, again.duplicate, other.duplicate) == (False, True, False)
    assert again == first
    assert other != first
    bench.work()
    assert again.result(timeout=30) == "a: s"
    assert unique.enqueue("a", subject="s") != first


def test_the_names_of_arguments_count_and_not_their_order(bench: Bench) -> None:
    unique = send.options(unique=True)
    first = unique.enqueue(to="a", subject="s")
    assert unique.enqueue(subject="s", to="a") == first
    assert send.options(unique=True).enqueue("a", "s") == first
    assert unique.enqueue("a", "other") != first


def test_fields_choose_which_arguments_count(bench: Bench) -> None:
    unique = send.options(unique=tq.Unique(fields=["to"]))
    first = unique.enqueue("a", subject="one")
    assert unique.enqueue("a", subject="two") == first
    assert unique.enqueue("b", subject="one") != first
    with pytest.raises(InvalidOption, match=r"fields.*'from'.*send"):
        _ = send.options(unique=tq.Unique(fields=["from"])).enqueue("a")


def test_a_key_of_ones_own_is_shared_by_all_jobs_that_give_it(bench: Bench) -> None:
    first = send.options(unique="nightly").enqueue("a")
    assert flaky.options(unique="nightly").enqueue(1) == first


def test_arguments_cannot_be_read_from_a_made_key(bench: Bench) -> None:
    handle = send.options(unique=True).enqueue("secret-address")
    (hold,) = bench.host.engine.state.unique
    assert "secret" not in hold
    assert handle.info().arguments == {"to": "secret-address"}


def test_raise_names_the_job_that_has_the_key(bench: Bench) -> None:
    strict = send.options(unique=tq.Unique("k", on_conflict="raise"))
    first = strict.enqueue("a")
    with pytest.raises(tq.DuplicateJob, match=first.id):
        _ = strict.enqueue("b")


def test_a_dropped_job_is_not_found(bench: Bench) -> None:
    _ = send.options(unique="k").enqueue("a")
    dropped = send.options(unique=tq.Unique("k", on_conflict="drop")).enqueue("b")
    assert dropped.duplicate
    with pytest.raises(tq.JobNotFound):
        dropped.info()


def test_replace_cancels_the_job_that_waits(bench: Bench) -> None:
    latest = send.options(unique=tq.Unique("k", on_conflict="replace"))
    first, second = latest.enqueue("a"), latest.enqueue("b")
    with pytest.raises(tq.JobCancelled, match="replaced"):
        first.result(timeout=30)
    bench.work()
    assert second.result(timeout=30) == "b: "


def test_a_window_gives_the_result_that_is_there(bench: Bench) -> None:
    once = send.options(unique=tq.Unique(within="1h"))
    first = once.enqueue("a")
    bench.work()
    assert once.enqueue("a").result(timeout=30) == "a: "
    bench.advance(3601)
    assert once.enqueue("a") != first


@pytest.mark.parametrize("way", ["many", "pipeline", "async", "async many"])
def test_every_way_of_enqueueing_finds_duplicates(bench: Bench, way: str) -> None:
    unique = send.options(unique=True)
    items = [send.item("plain"), unique.item("a"), unique.item("b"), unique.item("a")]
    if way == "many":
        handles: list[Any] = list(bench.q.enqueue_many(items))
    elif way == "pipeline":
        with bench.q.pipeline() as pipeline:
            handles = [pipeline.enqueue(item) for item in items]
    elif way == "async":
        handles = [asyncio.run(bench.q.aenqueue(item)) for item in items]
    else:
        handles = list(asyncio.run(bench.q.aenqueue_many(items)))
    assert [handle.duplicate for handle in handles] == [False, False, False, True]
    assert handles[3] == handles[1]
    bench.work()
    assert handles[3].result(timeout=30) == "a: "


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (7, "unique.*True, a key"),
        ("", "unique key"),
        ("k" * 201, "unique key"),
    ],
)
def test_what_is_no_unique_is_refused(given: Any, match: str) -> None:
    with pytest.raises(InvalidOption, match=match):
        send.options(unique=given)


def test_the_parts_of_a_unique_are_checked() -> None:
    wrong: list[dict[str, Any]] = [
        {"key": "k", "fields": ["a"]}, {"fields": []}, {"fields": "to"}, {"fields": [1]},
        {"within": 0}, {"within": "soon"}, {"within": float("nan")}, {"on_conflict": "ignore"},
    ]  # fmt: skip
    for given in wrong:
        with pytest.raises(InvalidOption, match="unique"):
            tq.Unique(**given)


def test_a_job_that_was_not_started_in_time_expires(bench: Bench) -> None:
    handle = send.options(expires="10s").enqueue("a")
    bench.advance(11)
    with pytest.raises(tq.JobExpired):
        handle.result(timeout=30)
    assert handle.status() is tq.JobState.EXPIRED


def test_what_is_no_time_limit_is_refused() -> None:
    for given in (0, -1, "later", float("inf"), True):
        with pytest.raises(InvalidOption, match="expires"):
            send.options(expires=given)


def test_children_choose_what_a_failed_parent_means(bench: Bench) -> None:
    parent = flaky.options(max_attempts=1).enqueue(2)
    kinds = ("cancel", "continue", "wait")
    children = {
        kind: send.options(depends_on=parent, on_parent_failure=kind).enqueue(kind)
        for kind in kinds
    }
    bench.work()
    states = {kind: child.status().value for kind, child in children.items()}
    assert states == {"cancel": "cancelled", "continue": "completed", "wait": "blocked"}
    late = {
        kind: send.options(depends_on=parent, on_parent_failure=kind).enqueue(kind)
        for kind in kinds
    }
    bench.work()
    states = {kind: child.status().value for kind, child in late.items()}
    assert states == {"cancel": "cancelled", "continue": "completed", "wait": "blocked"}
    with pytest.raises(InvalidOption, match="on_parent_failure"):
        send.options(on_parent_failure="panic")
