"""Workers, workflows, and dead letters by how they failed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from taskqueue_ray.core.identity import to_text
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["workers and workflows"])


@router.get("/workers")
def list_workers(request: Request) -> Response:
    """The workers that the queue knows, and the ids of the jobs that they run."""
    site = site_of(request)
    workers = site.memory.recall("workers", site.queue.worker_health, 0.5)
    rows = [{**one.row(), "queues": list(one.queues), "running": list(one.running)}
            for one in workers]  # fmt: skip
    return json({"workers": rows})


@router.get("/workflows")
def list_workflows(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
    """Workflows and batches with their counts by state, those that changed last first."""
    found = site_of(request).queue.workflows(limit)
    return json({"workflows": [{"id": one.id, "counts": one.counts} for one in found]})


@router.get("/workflows/{id}")
def show_workflow(request: Request, id: str) -> Response:
    """How many jobs of a workflow are in each state."""
    return json({"id": id, "counts": site_of(request).queue.count_workflow(id)})


@router.get("/failures")
def failures(request: Request, queue: str | None = None) -> Response:
    """Dead letters by how they failed, the largest group first."""
    found = site_of(request).queue.failures(queue)
    groups = [
        {
            "queue": one.queue, "type": one.type, "error_type": one.error_type,
            "reason": one.reason, "count": one.count, "latest": to_text(one.latest),
        }
        for one in found.groups
    ]  # fmt: skip
    return json({"groups": groups, "complete": found.complete})
