"""Lists of jobs, page by page, so that the queue serves others in between."""

from collections.abc import Iterator

from taskqueue_ray.core.exchange import Cursor, JobFilter, JobPage
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.requests import Ask

PAGE = 500


def pages(ask: Ask, wanted: JobFilter, limit: int | None = None) -> Iterator[JobPage]:
    """Those that fit, those in the history apart, at most `limit` of them.

    The last page's cursor is None when there are no more.
    """
    cursor: Cursor | None = None
    left = limit
    while left is None or left > 0:
        page = ask(requests.jobs(wanted, cursor, PAGE if left is None else min(PAGE, left)))
        yield page
        cursor = page.cursor
        if cursor is None:
            return
        if left is not None:
            left -= len(page.jobs)
