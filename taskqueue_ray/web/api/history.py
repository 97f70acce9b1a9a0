"""The history: search what ended, take it away as CSV or Parquet."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.api.jobs import moment_or_span
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["history"])

_MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


@router.get("/history")
def search(
    request: Request,
    state: JobState | None = None,
    queue: str | None = None,
    type: str | None = None,
    tag: str | None = None,
    category: str | None = None,
    workflow: str | None = None,
    since: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Ended jobs of the Parquet dataset that fit, the newest first."""
    found = site_of(request).queue.search_history(
        state=state, queue=queue, type=type, tag=tag, category=category, workflow=workflow,
        since=moment_or_span(since), limit=limit,
    )  # fmt: skip
    return json({"jobs": found.rows(), "complete": found.complete})


_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {kind.partition(";")[0]: {} for kind in _MEDIA.values()},
    }
}


@router.get("/history/export", response_class=Response, responses=_FILE)
def export(
    request: Request,
    format: Literal["csv", "parquet"] = "csv",
    since: Annotated[str, Query(description="A time, or how long ago")] = "7d",
) -> Response:
    """All that ended since a time, as a file. Payloads and results stay sealed."""
    history = site_of(request).queue.history(moment_or_span(since))
    body = history.to_csv() if format == "csv" else history.to_parquet()
    name = f"attachment; filename=history.{format}"
    return Response(body, headers={"Content-Disposition": name}, media_type=_MEDIA[format])
