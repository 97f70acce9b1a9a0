"""Which jobs are meant: what users name, as the filter that the queue knows."""

import time
from datetime import datetime

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.exchange import JobFilter
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.timing import Duration, parse_duration, parse_moment


def filter_of(
    state: JobState | str | None = None,
    queue: str | None = None,
    type: str | None = None,
    tag: str | None = None,
    category: str | None = None,
    workflow: str | None = None,
    since: Duration | datetime | None = None,
    schedule: str | None = None,
) -> JobFilter:
    """A filter for jobs that fit all that is given. Raises `InvalidOption` for what is no state."""
    try:
        wanted = None if state is None else JobState(state)
    except ValueError:
        states = ", ".join(one.value for one in JobState)
        raise InvalidOption("state", ascii(state), f"one of {states}") from None
    return JobFilter(wanted, queue, type, tag, category, start_of(since), workflow, schedule)


def start_of(since: Duration | datetime | None) -> float | None:
    """The moment that is meant by a time or by how long ago, in seconds since 1970."""
    if since is None:
        return None
    if isinstance(since, datetime):
        return parse_moment(since, "since")
    return time.time() - parse_duration(since, "since")
