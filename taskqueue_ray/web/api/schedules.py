"""Schedules: what is to be enqueued at which times."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from taskqueue_ray.core import recurrence
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.sdk.schedule_record import ScheduleRecord
from taskqueue_ray.web.api import schedule_models as models
from taskqueue_ray.web.api.answers import json, tagged
from taskqueue_ray.web.api.jobs import item_of
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["schedules"])


@router.get("/explain", response_model=models.Meaning)
def explain(
    when: Annotated[str, Query(max_length=400, description="Words, a cron expression, a length")],
    tz: str = "UTC",
    n: Annotated[int, Query(ge=0, le=1000)] = 5,
) -> Response:
    """What a phrase means, and its next times. Stores nothing; the queue is not asked."""
    return json(recurrence.explain(when, tz=tz, after=time.time(), n=n))


@router.get("/schedules")
def list_schedules(request: Request) -> Response:
    """All schedules by their ids, without the arguments of their jobs."""
    site = site_of(request)
    found = site.memory.recall("schedules", site.queue.scheduler.list)
    return json({"schedules": [shown(one) for one in found]})


@router.post("/schedules", status_code=201)
def create(request: Request, wanted: models.NewSchedule) -> Response:
    """Make a schedule; the same one again is no news, another one of its id is a conflict."""
    site = site_of(request)
    if wanted.job.id is not None:
        raise InvalidOption("job.id", ascii(wanted.job.id), "nothing: each run has its own id")
    more = wanted.model_dump(exclude_unset=True, exclude={"job", "when"})
    made = site.queue.scheduler.schedule(wanted.when, item_of(wanted.job), **more)
    site.acted(request, "schedule", f"{made.id}: {made.type}", f"{made.words} ({made.tz})")
    there = f"{request.scope.get('root_path', '')}/api/v1/schedules/{made.id}"
    return json(shown(made), 201, Location=there)


@router.get("/schedules/{id}")
def show(request: Request, id: str) -> Response:
    """One schedule with its arguments, its next ten times, and an ETag."""
    scheduler = site_of(request).queue.scheduler
    record = scheduler.get(id)
    times = {"next": scheduler.next(id, 10), "arguments": record.to_dict()["arguments"]}
    return tagged(request, {**shown(record), **times})


@router.patch("/schedules/{id}")
def update(request: Request, id: str, changes: models.ScheduleChanges) -> Response:
    """Change a schedule; what is not named stays. A `job` comes with its arguments."""
    site = site_of(request)
    given = changes.model_dump(exclude_unset=True, exclude={"job"})
    if changes.job is not None:
        given["job"] = item_of(changes.job)
    made = site.queue.scheduler.update(id, **given)
    site.acted(request, "reschedule", id, f"{made.words} ({made.tz})")
    return json(shown(made))


@router.delete("/schedules/{id}", status_code=204)
def delete(request: Request, id: str) -> Response:
    """Let a schedule be no more. Jobs that it has made stay."""
    site = site_of(request)
    site.queue.scheduler.get(id)
    site.queue.scheduler.delete(id)
    site.acted(request, "delete", f"schedule {id}", "deleted")
    return Response(status_code=204)


@router.post("/schedules/{id}/pause")
def pause(request: Request, id: str) -> Response:
    """Fire nothing from now on. What is due meanwhile is not made up for."""
    site = site_of(request)
    record = site.queue.scheduler.pause(id)
    site.acted(request, "pause", f"schedule {id}", "paused")
    return json(shown(record))


@router.post("/schedules/{id}/resume")
def resume(request: Request, id: str) -> Response:
    """Fire again, from the next time on."""
    site = site_of(request)
    record = site.queue.scheduler.resume(id)
    site.acted(request, "resume", f"schedule {id}", "resumed")
    return json(shown(record))


@router.post("/schedules/{id}/run", status_code=201, response_model=models.Ran)
def run(request: Request, id: str) -> Response:
    """Enqueue its job now, whatever else runs, and also while it is paused."""
    site = site_of(request)
    job = site.queue.scheduler.run_now(id)
    site.acted(request, "run now", f"schedule {id}", job)
    return json({"job": job}, 201)


@router.post("/schedules/{id}/backfill", status_code=201, response_model=models.Filled)
def backfill(request: Request, id: str, wanted: models.Backfill) -> Response:
    """Enqueue a job for each of its times in a range that has passed; at most 1,000 at once."""
    site = site_of(request)
    jobs = site.queue.scheduler.backfill(id, wanted.start, wanted.end)
    target = f"schedule {id}, {wanted.start.isoformat()} to {wanted.end.isoformat()}"
    site.acted(request, "backfill", target, f"{len(jobs):,} jobs are enqueued")
    return json({"jobs": jobs}, 201)


def shown(record: ScheduleRecord) -> dict[str, Any]:
    """A schedule as programs get it."""
    hidden = ("view", "arguments", "late")
    fields = {k: v for k, v in vars(record).items() if k not in hidden and not k.startswith("_")}
    return {**fields, "late": round(record.late, 1)}
