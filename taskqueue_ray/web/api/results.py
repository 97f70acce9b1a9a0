"""The result of a job, waited for if you like."""

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.web.api import models
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["jobs"])

_UNFINISHED: dict[int | str, dict[str, Any]] = {
    202: {"model": models.Result, "description": "It has not ended"}
}


@router.get("/jobs/{id}/result", response_model=models.Result, responses=_UNFINISHED)
async def result(
    request: Request,
    id: str,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for its end")] = 0.0,
) -> Response:
    """How a job ended: 200 with its result or error, 202 when it has not ended within `wait`."""
    queue = site_of(request).queue
    record = await queue.ajob(id)
    if not record.state.final and wait:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await queue.handle(id).await_end()
        record = await queue.ajob(id)
    if not record.state.final:
        return json({"id": record.id, "state": record.state}, 202, Retry_After="1")
    return await asyncio.to_thread(_ended, record)


def _ended(record: JobRecord) -> Response:
    answer: dict[str, Any] = {
        "id": record.id, "state": record.state, "result": None, "error": None,
        "reason": record.reason,
    }  # fmt: skip
    if record.state is JobState.COMPLETED:
        answer["result"] = record.result
    elif record.error is not None:
        answer["error"] = record.error._asdict()
    return json(answer)
