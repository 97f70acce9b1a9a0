"""Lists of jobs, page by page, so that the queue serves others in between."""

import base64
import time
from collections.abc import Iterator

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.exchange import Cursor, JobFilter, JobPage, JobView
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


def page_of(
    ask: Ask, wanted: JobFilter, cursor: str | None, limit: int, seconds: float
) -> tuple[list[JobView], str | None]:
    """One page as people turn them, and the cursor of the next, as text; None: there is none.

    It ends early when the queue has been looked through for `seconds`: it may be empty, and still
    have a next one.
    """
    place = None if cursor is None else _from_text(cursor)
    found: list[JobView] = []
    until = time.monotonic() + seconds
    while True:
        page = ask(requests.jobs(wanted, place, limit - len(found)))
        found += page.jobs
        place = page.cursor
        if place is None or len(found) >= limit or time.monotonic() > until:
            return found, None if place is None else _to_text(place)


def _to_text(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def _from_text(text: str) -> Cursor:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        return msgspec.msgpack.decode(data, type=Cursor)
    except (ValueError, msgspec.MsgspecError):
        raise InvalidOption("cursor", ascii(text)[:80], "one that a page of jobs gave") from None
