"""Jobs: enqueue, list, look, why, cancel, redrive, delete."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.sdk.job import JobItem
from taskqueue_ray.web.api import models
from taskqueue_ray.web.api.answers import json, tagged, whole
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["jobs"])

_OWN = ("type", "args", "kwargs")


def item_of(job: models.NewJob) -> JobItem[Any]:
    """The call that is meant. Raises `UnknownJobType`, `InvalidOption`."""
    job_type = registry.get(job.type)
    given = job.model_dump(exclude_none=True, exclude=set(_OWN))
    return JobItem(job_type, job_type.defaults.but(given), tuple(job.args), job.kwargs)


@router.post("/jobs", status_code=201, response_model=models.Enqueued)
def enqueue(request: Request, job: models.NewJob) -> Response:
    """Enqueue one job; it is stored when this answers. The same `id` again is the same job."""
    handle = site_of(request).queue.enqueue(item_of(job))
    there = f"{request.scope.get('root_path', '')}/api/v1/jobs/{handle.id}"
    return json({"id": handle.id, "duplicate": handle.duplicate}, 201, Location=there)


@router.post("/jobs/many", status_code=201, response_model=models.EnqueuedMany)
def enqueue_many(request: Request, many: models.NewJobs) -> Response:
    """Enqueue several jobs; all are stored when this answers. Give ids to repeat it safely."""
    items = [item_of(job) for job in many.jobs]
    handles = site_of(request).queue.enqueue_many(items)
    return json({"jobs": [{"id": one.id, "duplicate": one.duplicate} for one in handles]}, 201)


@router.get("/jobs", response_model=models.JobPage)
def list_jobs(
    request: Request,
    state: JobState | None = None,
    queue: str | None = None,
    type: str | None = None,
    tag: str | None = None,
    category: str | None = None,
    workflow: str | None = None,
    since: Annotated[str | None, Query(description="A time, or how long ago: 10m, 7d")] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """A page of the jobs at hand: what waits, runs or failed, then what ended lately.

    A page may be short, or empty, and still have a cursor. What ended long ago is in the history.
    """
    page, following = site_of(request).queue.job_page(
        state=state, queue=queue, type=type, tag=tag, category=category, workflow=workflow,
        since=moment_or_span(since), cursor=cursor, limit=limit,
    )  # fmt: skip
    return json({"jobs": page.rows(), "cursor": following})


@router.get("/jobs/{id}", response_model=models.JobInfo)
def show(request: Request, id: str) -> Response:
    """Everything that is known of a job, with an ETag."""
    return tagged(request, whole(site_of(request).queue.job(id)))


@router.get("/jobs/{id}/why", response_model=models.Reason)
def why(request: Request, id: str) -> Response:
    """Why a job is not running."""
    return json(site_of(request).queue.why(id))


@router.post("/jobs/{id}/cancel", response_model=models.Moved)
def cancel(request: Request, id: str, because: models.Because | None = None) -> Response:
    """Cancel a job. It is no error when it has ended: then none moved."""
    site = site_of(request)
    site.queue.job(id)
    moved = site.queue.cancel(id, reason=because.reason if because else "")
    site.acted(request, "cancel", id, f"{len(moved)} moved")
    return json({"count": len(moved), "ids": moved, "dry_run": False})


@router.post("/jobs/{id}/redrive", response_model=models.Moved)
def redrive(request: Request, id: str, changed: models.Changed | None = None) -> Response:
    """Send a dead letter again, with fresh attempts and, if you like, other options."""
    site = site_of(request)
    site.queue.job(id)
    options = changed.model_dump(exclude_none=True) if changed else {}
    moved = site.queue.redrive(id, options=options)
    site.acted(request, "redrive", id, f"{len(moved)} moved")
    return json({"count": len(moved), "ids": moved, "dry_run": False})


@router.delete("/jobs/{id}", status_code=204)
def delete(request: Request, id: str) -> Response:
    """Drop the record of a job that has ended."""
    site = site_of(request)
    site.queue.delete(id)
    site.acted(request, "delete", id, "gone")
    return Response(status_code=204)


@router.get("/types")
def types() -> dict[str, list[str]]:
    """The job types that can be enqueued here."""
    return {"types": registry.names}


def moment_or_span(since: str | None) -> str | datetime | None:
    """A time where it reads as one with a zone, else how long ago."""
    if since is None or "T" not in since:
        return since
    try:
        return datetime.fromisoformat(since)
    except ValueError:
        return since
