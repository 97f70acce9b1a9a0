"""The history as one table: what is in Parquet, and what ended since."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from taskqueue_ray.core.exchange import JobView
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk import requests

if TYPE_CHECKING:
    import pyarrow

PAGE = 1_000


def read_history(ask: Callable[[Any], Any], since: float) -> "pyarrow.Table":
    """All that ended from `since` on, the last generation of each job."""
    from taskqueue_ray.storage.history import from_bytes, latest, to_table

    # In this order: what is folded between the two questions is in both answers, not in neither.
    fresh = _fresh(ask, since)
    folded = from_bytes(ask(requests.history(since, None)))
    known = set(zip(folded["id"].to_pylist(), folded["generation"].to_pylist(), strict=True))
    rows = to_table([view for view in fresh if (view.id.hex(), view.generation) not in known])
    return latest(_joined(folded, rows))


def _fresh(ask: Callable[[Any], Any], since: float) -> list[JobView]:
    views: list[JobView] = []
    cursor = None
    while True:
        page = ask(requests.ended(since, cursor, PAGE))
        views += page.jobs
        cursor = page.cursor
        if cursor is None:
            return views


def _joined(folded: "pyarrow.Table", rows: "pyarrow.Table") -> "pyarrow.Table":
    if rows.num_rows == 0:
        return folded
    if folded.num_rows == 0:
        return rows
    return type(rows).from_batches(
        [*folded.select(rows.column_names).cast(rows.schema).to_batches(), *rows.to_batches()]
    )


def count_finishes(
    ask: Callable[[Any], Any], since: float, every: float
) -> list[tuple[datetime, JobState, int]]:
    """How many jobs ended in which state, by spans of `every` seconds.

    Every end counts, also that of a job that was redriven later.
    """
    from taskqueue_ray.storage.exports import tally
    from taskqueue_ray.storage.history import from_bytes

    fresh = ask(requests.tally(since, every))
    folded = from_bytes(ask(requests.history(since, ["finished_at", "state"])))
    counts: Counter[tuple[float, JobState]] = Counter()
    for at, state, count in (*fresh, *tally(folded, every)):
        counts[at, JobState(state)] += count
    return [
        (datetime.fromtimestamp(at, UTC), state, count)
        for (at, state), count in sorted(counts.items())
    ]
