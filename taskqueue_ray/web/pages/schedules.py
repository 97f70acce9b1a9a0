"""Schedules: what is to run when, what became of it, and its switches."""

from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core.naming import check_name
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.sdk.schedule_record import ScheduleRecord
from taskqueue_ray.sdk.scheduler import Times
from taskqueue_ray.web.inputs import moment
from taskqueue_ray.web.pages.job import Opened, opened
from taskqueue_ray.web.pages.rendering import Entry, back, form_of, one, render
from taskqueue_ray.web.site import site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()
ENTRY = Entry("Schedules", "/schedules", "s", "calendar")

LATE = 5.0
"""Seconds by which a firing may lag before it is called late."""
NEXT = 10
RECENT = 20
LOOKED = 400
LOOKING = 0.3
FROM_HISTORY = 10.0
"""Seconds for which the jobs of a schedule in the history are kept: they are read from files."""


class Sight(NamedTuple):
    """A schedule with what belongs to it. `jobs` are the newest of its jobs."""

    record: ScheduleRecord
    times: Times
    arguments: Opened
    jobs: list[JobRecord]


@router.get("/schedules")
def schedules(request: Request) -> HTMLResponse:
    """All of them, what is due next first."""
    site = site_of(request)
    found = site.memory.recall("schedules", site.queue.scheduler.list)
    ordered = sorted(found, key=_place)
    return render(request, "schedules.html", schedules=ordered, late=LATE)


@router.get("/schedules/{id}")
def schedule(request: Request, id: str) -> HTMLResponse:
    """One of them."""
    site = site_of(request)
    sight = site.memory.recall(("schedule", id), lambda: see(site.queue, id))
    jobs = sight.jobs
    if len(jobs) < RECENT:
        key = ("schedule in history", id)
        older = site.memory.recall(
            key, lambda: site.queue.search_history(schedule=id, limit=RECENT), FROM_HISTORY
        )
        known = {job.id for job in jobs}
        jobs = [*jobs, *(job for job in older if job.id not in known)][:RECENT]
    return render(
        request, "schedule.html", one=sight.record, sight=sight, jobs=jobs, late=LATE,
        live=sight.record.state != "ended",
    )  # fmt: skip


@router.post("/schedules/{id}/pause")
def pause(request: Request, id: str) -> Response:
    """Fire nothing from now on."""
    site = site_of(request)
    site.queue.scheduler.pause(id)
    site.acted(request, "pause", f"schedule {id}", "paused")
    return back(request, f"/schedules/{id}", f"{id} is paused: what is due is not made up for")


@router.post("/schedules/{id}/resume")
def resume(request: Request, id: str) -> Response:
    """Fire again."""
    site = site_of(request)
    site.queue.scheduler.resume(id)
    site.acted(request, "resume", f"schedule {id}", "resumed")
    return back(request, f"/schedules/{id}", f"{id} goes on with its next time")


@router.post("/schedules/{id}/run")
def run(request: Request, id: str) -> Response:
    """Enqueue its job now."""
    site = site_of(request)
    job = site.queue.scheduler.run_now(id)
    site.acted(request, "run now", f"schedule {id}", job)
    return back(request, f"/schedules/{id}", f"job {job} is enqueued")


@router.post("/schedules/{id}/delete")
def delete(request: Request, id: str) -> Response:
    """Let it be no more."""
    site = site_of(request)
    found = site.queue.scheduler.delete(id)
    site.acted(request, "delete", f"schedule {id}", "deleted" if found else "there was none")
    return back(request, "/schedules", f"{id} is deleted; jobs that it has made stay")


@router.post("/schedules/{id}/backfill")
async def backfill(request: Request, id: str) -> Response:
    """Enqueue a job for each of its times in a range that has passed, by the clock of its zone."""
    site = site_of(request)
    fields = await form_of(request)
    first, last = one(fields, "from") or "", one(fields, "to") or ""

    def fill() -> list[str]:
        tz = site.queue.scheduler.get(check_name("id", id)).tz
        begin, end = moment("from", first, tz), moment("to", last, tz)
        return site.queue.scheduler.backfill(id, begin, end)

    jobs = await in_thread(fill)
    outcome = f"{len(jobs):,} jobs are enqueued"
    target = f"schedule {id}, {first} to {last}"
    await in_thread(lambda: site.acted(request, "backfill", target, outcome))
    return back(request, f"/schedules/{id}", outcome)


def see(queue: TaskQueue, id: str) -> Sight:
    """Look at a schedule and at what it has made."""
    record = queue.scheduler.get(id)
    page, _ = queue.job_page(schedule=id, limit=LOOKED, seconds=LOOKING)
    newest = sorted(page, key=lambda job: -job.view.ordinal)[:RECENT]
    arguments = opened(lambda: record.arguments)
    return Sight(record, queue.scheduler.next(id, NEXT), arguments, newest)


def _place(record: ScheduleRecord) -> tuple[bool, float, str]:
    at = record.next_at
    return (at is None, at.timestamp() if at else 0.0, record.id)
