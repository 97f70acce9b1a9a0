"""What open pages listen to, and the points of their charts."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.live import MAX_STREAMS
from taskqueue_ray.web.problems import problem
from taskqueue_ray.web.site import Site, site_of

router = APIRouter(prefix="/live", include_in_schema=False)

DAYS = 7
SPAN = 3600.0
KEPT = 120.0
"""Seconds between two readings of the history for the chart of days."""

_STATES = ("completed", "failed", "cancelled", "expired")


@router.get("")
async def news(request: Request) -> Response:
    """One event for each look at the queue."""
    poller = site_of(request).poller
    await poller.attend()
    if poller.streams >= MAX_STREAMS:
        return problem(503, "Too many streams", "too many pages are open")
    return StreamingResponse(
        poller.stream(),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/points")
async def points(request: Request, queue: str | None = None) -> Response:
    """The points of the last minutes, by column; see `Ring.columns`."""
    return json(site_of(request).poller.ring.columns(queue))


@router.get("/days")
def days(request: Request) -> Response:
    """How many jobs ended in each hour of the last days: times, then a column for each state."""
    site = site_of(request)
    return json(site.memory.recall("days", lambda: count_days(site), KEPT))


def count_days(site: Site) -> list[list[float]]:
    """The columns."""
    now = site.clock()
    first = (now - DAYS * 86_400) // SPAN * SPAN
    spans = int((now - first) // SPAN) + 1
    columns: list[list[float]] = [[first + n * SPAN for n in range(spans)]]
    columns += [[0] * spans for _ in _STATES]
    counted: list[Any] = site.queue.finishes(now - first, SPAN)
    for at, state, count in counted:
        place = int((at.timestamp() - first) // SPAN)
        if 0 <= place < spans:
            columns[1 + _STATES.index(state.value)][place] += count
    return columns
