"""What goes into one call: Ray takes a larger one through its object store, ten times as slow."""

from typing import Any

import pytest

from taskqueue_ray.sdk.batches import MAX_BYTES
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send

INLINE = 100 * 1024
"""Ray's limit for arguments that travel with the call (`max_direct_call_object_size`)."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fair_key": "a tenant with a rather long name of its own" * 2},
        {"unique": True},
        {"expires": "1h", "concurrency_key": "k" * 100, "ordered": True},
        {"delay": "1h"},
    ],
)
def test_a_batch_fits_into_a_call_whatever_its_jobs_ask_for(
    bench: Bench, options: dict[str, Any]
) -> None:
    sizes: list[int] = []
    submit = bench.transport.submit

    def measured(method: str, request: bytes) -> Any:
        if method == "enqueue":
            sizes.append(len(request))
        return submit(method, request)

    bench.transport.submit = measured  # type: ignore[method-assign]
    bench.q.enqueue_many(
        send.options(**options).item(f"person {n}@example.org", subject="a subject")
        for n in range(1_200)
    )
    assert max(sizes) < INLINE
    # Nor are they so small that the calls would cost more than the jobs.
    assert len(sizes) == 3 or max(sizes) > 0.95 * MAX_BYTES


def test_parents_count_too(bench: Bench) -> None:
    parents = bench.q.enqueue_many(
        send.item(f"person {n}@example.org", subject="a subject") for n in range(100)
    )
    sizes: list[int] = []
    submit = bench.transport.submit

    def measured(method: str, request: bytes) -> Any:
        sizes.append(len(request))
        return submit(method, request)

    bench.transport.submit = measured  # type: ignore[method-assign]
    child = send.options(depends_on=parents)
    bench.q.enqueue_many(
        child.item(f"person {n}@example.org", subject="a subject") for n in range(200)
    )
    assert max(sizes) < INLINE
