"""`/api/v1`: the queue for programs in any language. One file for each resource."""

from fastapi import APIRouter

from taskqueue_ray.web.api import (
    alerts,
    bulk,
    health,
    history,
    jobs,
    limits,
    nodes,
    queues,
    results,
    schedules,
    workers,
)
from taskqueue_ray.web.api.models import Problem

PREFIX = "/api/v1"

_PROBLEMS: dict[int | str, dict[str, object]] = {
    "4XX": {"model": Problem, "description": "The request, as a problem (RFC 9457)"},
    "5XX": {"model": Problem, "description": "The queue, as a problem (RFC 9457)"},
}


def router() -> APIRouter:
    """All of it. Bulk moves come first: their paths would read as ids of jobs."""
    made = APIRouter(prefix=PREFIX, responses=_PROBLEMS)
    for part in (health, bulk, jobs, results, queues, schedules, workers, nodes, limits, alerts,
                 history):  # fmt: skip
        made.include_router(part.router)
    return made
