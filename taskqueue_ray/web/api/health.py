"""Whether the queue answers: the one route that needs no token."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from taskqueue_ray.web.api import models
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["health"])


_AWAY: dict[int | str, dict[str, Any]] = {
    503: {"model": models.Health, "description": "It did not answer"}
}


@router.get("/health", response_model=models.Health, responses=_AWAY)
async def health(request: Request) -> Response:
    """200 when the queue answered at the last look, 503 when it did not."""
    poller = site_of(request).poller
    await poller.attend()
    if poller.trouble is None:
        return json({"status": "ok"})
    return json({"status": "unavailable"}, 503, Retry_After="2")
