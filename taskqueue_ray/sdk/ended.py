"""Jobs out of the history as records, the latest first: what lists do not hold any more."""

import time
from collections.abc import Iterator

from taskqueue_ray.core.exchange import JobView
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import JobRecord


def recently_ended(
    client: TaskQueue,
    /,
    *,
    state: JobState | None = None,
    since: Duration | None = None,
    **wanted: str | None,
) -> Iterator[JobRecord]:
    """The ended jobs that fit, as `TaskQueue.jobs` understands it, read from the history."""
    from taskqueue_ray.storage.history import to_views

    start = 0.0 if since is None else time.time() - parse_duration(since, "since")
    table = client.history(since).to_arrow().sort_by([("finished_at", "descending")])
    for view in to_views(table):
        if view.enqueued_at >= start and _fits(view, state, wanted):
            yield JobRecord(view, client.opener)


def _fits(view: JobView, state: JobState | None, wanted: dict[str, str | None]) -> bool:
    options = view.options
    facts = {"queue": options.queue, "type": options.type, "category": options.category}
    tag = wanted.get("tag")
    return (
        (state is None or view.state == state)
        and (tag is None or tag in options.tags)
        and all(wanted.get(name) in (None, fact) for name, fact in facts.items())
    )
