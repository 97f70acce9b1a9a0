"""Moves of all jobs that fit a filter."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from taskqueue_ray.web.api import models
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["jobs"])


@router.post("/jobs/cancel", response_model=models.Moved)
def cancel_many(request: Request, wanted: models.CancelMany) -> Response:
    """Cancel all jobs that wait or run and fit the filter."""
    site = site_of(request)
    given = wanted.filter.given()
    moved = site.queue.cancel_all(**given, reason=wanted.reason, dry_run=wanted.dry_run)
    return _moved(request, "cancel", given, moved, wanted.dry_run)


@router.post("/jobs/redrive", response_model=models.Moved)
def redrive_many(request: Request, wanted: models.RedriveMany) -> Response:
    """Send all dead letters again that fit the filter."""
    site = site_of(request)
    given = wanted.filter.model_dump(exclude_none=True)
    moved = site.queue.redrive_all(**given, dry_run=wanted.dry_run)
    return _moved(request, "redrive", given, moved, wanted.dry_run)


def _moved(
    request: Request, verb: str, given: dict[str, Any], moved: list[str], dry_run: bool
) -> Response:
    if not dry_run:
        target = ", ".join(f"{name}={value}" for name, value in given.items()) or "all"
        site_of(request).acted(request, verb, target, f"{len(moved)} moved")
    return json({"count": len(moved), "ids": moved, "dry_run": dry_run})
