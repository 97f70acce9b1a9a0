"""Workflows: how far each is, and its picture with the states of its jobs."""

from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.core.errors import JobNotFound
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.web.graph import Picture, draw
from taskqueue_ray.web.pages.rendering import Entry, render
from taskqueue_ray.web.site import site_of

router = APIRouter()
ENTRY = Entry("Workflows", "/workflows", "l", "graph")

LISTED = 100
DRAWN = 500
LOOKING = 1.0


class Flow(NamedTuple):
    """A workflow's counts and jobs; not all of them when `is_whole` is False."""

    counts: dict[JobState, int]
    jobs: list[JobRecord]
    picture: Picture
    is_whole: bool


@router.get("/workflows")
def workflows(request: Request) -> HTMLResponse:
    """Those that changed last first."""
    site = site_of(request)
    found = site.memory.recall("workflows", lambda: site.queue.workflows(LISTED))
    return render(request, "workflows.html", workflows=found, listed=LISTED)


@router.get("/workflows/{id}")
def workflow(request: Request, id: str) -> HTMLResponse:
    """One of them."""
    site = site_of(request)
    flow = site.memory.recall(("workflow", id), lambda: see(site.queue, id))
    if not flow.counts:
        raise JobNotFound(f"of a workflow {id}")
    return render(request, "workflow.html", id=id, flow=flow)


def see(queue: TaskQueue, id: str) -> Flow:
    """Its jobs: those in memory, and those that went into the history."""
    counts = queue.count_workflow(id)
    page, following = queue.job_page(workflow=id, limit=DRAWN, seconds=LOOKING)
    jobs = {job.id: job for job in page}
    total = sum(counts.values())
    if len(jobs) < min(total, DRAWN) and following is None:
        older = queue.search_history(workflow=id, limit=DRAWN - len(jobs))
        jobs |= {job.id: job for job in older if job.id not in jobs}
    found = sorted(jobs.values(), key=lambda one: one.view.ordinal)
    return Flow(counts, found, draw(found), len(found) >= total)
