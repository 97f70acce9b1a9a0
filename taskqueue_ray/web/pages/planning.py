"""Making and changing schedules: a form that says at once what a phrase means."""

import time
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core import recurrence
from taskqueue_ray.core.errors import InvalidRequest, ScheduleExists
from taskqueue_ray.core.recurrence import Explanation
from taskqueue_ray.core.schedule import WINDOW
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.sdk.job import JobItem
from taskqueue_ray.sdk.schedule_record import ScheduleRecord
from taskqueue_ray.sdk.scheduler import UNCHANGED, Scheduler
from taskqueue_ray.sdk.templates import item_of
from taskqueue_ray.web import inputs
from taskqueue_ray.web.pages.rendering import back, form_of, one, render
from taskqueue_ray.web.problems import status_of
from taskqueue_ray.web.site import site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()

FIELDS = (
    "when", "tz", "type", "id", "arguments", "overlap", "catch_up", "window", "jitter", "until",
    "max_runs", "queue", "priority",
)  # fmt: skip
EXAMPLES = (
    "every 15 minutes", "every day at 2:30 AM", "every monday at 9:00", "0 */6 * * *",
    "the last friday of the month at 17:00", "in 10 minutes",
)  # fmt: skip
LONGEST = 400
"""Characters of a phrase that are looked at."""


class Preview(NamedTuple):
    """What a phrase means, or why it means nothing and what could have been meant."""

    when: str
    tz: str
    found: Explanation | None = None
    problem: str = ""
    suggestions: tuple[str, ...] = ()


def preview_of(when: str, tz: str) -> Preview:
    """What the form says under the phrase."""
    when, tz = when.strip()[:LONGEST], tz.strip() or "UTC"
    if not when:
        return Preview(when, tz, suggestions=EXAMPLES)
    try:
        return Preview(when, tz, recurrence.explain(when, tz=tz, after=time.time()))
    except InvalidRequest as error:
        told = tuple(map(str, error.fields.get("suggestions", ())))
        return Preview(when, tz, problem=str(error), suggestions=told)


@router.get("/plan")
def plan(request: Request) -> HTMLResponse:
    """The form of a new schedule."""
    query = request.query_params
    return _form(request, {name: query.get(name, "") for name in FIELDS})


@router.get("/plan/preview")
def preview(request: Request) -> HTMLResponse:
    """What the phrase means that was typed so far: the part of the form that says so."""
    query = request.query_params
    found = preview_of(query.get("when", ""), query.get("tz", ""))
    return render(request, "preview.html", preview=found, live=False)


@router.post("/plan")
async def make(request: Request) -> Response:
    """Make the schedule. What is wrong is said in the form, which keeps what was typed."""
    site = site_of(request)
    fields = await form_of(request)
    given = {name: one(fields, name) or "" for name in FIELDS}
    try:
        made = await in_thread(lambda: _made(site.queue.scheduler, given))
    except (InvalidRequest, ScheduleExists) as error:
        return _form(request, given, problem=str(error), status=status_of(error))
    words = f"{made.words} ({made.tz})"
    await in_thread(lambda: site.acted(request, "schedule", f"{made.id}: {made.type}", words))
    return back(request, f"/schedules/{made.id}", f"scheduled: {words}")


@router.get("/schedules/{id}/edit")
def edit(request: Request, id: str) -> HTMLResponse:
    """The form of a schedule that is there."""
    record = site_of(request).queue.scheduler.get(id)
    return _form(request, _fields_of(record), record)


@router.post("/schedules/{id}/edit")
async def change(request: Request, id: str) -> Response:
    """Change it. Its next times are counted anew if the phrase or the zone is another."""
    site = site_of(request)
    fields = await form_of(request)
    given = {name: one(fields, name) or "" for name in FIELDS}
    record = await in_thread(lambda: site.queue.scheduler.get(id))
    try:
        changes = _changes(given, record)
        made = await in_thread(lambda: site.queue.scheduler.update(id, **changes))
    except InvalidRequest as error:
        return _form(request, given, record, problem=str(error), status=status_of(error))
    words = f"{made.words} ({made.tz})"
    await in_thread(lambda: site.acted(request, "reschedule", id, words))
    return back(request, f"/schedules/{id}", f"changed: {words}")


def _made(scheduler: Scheduler, given: dict[str, str]) -> ScheduleRecord:
    item = item_of(given["type"], (), inputs.arguments(given["arguments"] or "{}"))
    options: dict[str, Any] = {"queue": given["queue"]} if given["queue"] else {}
    if given["priority"]:
        options["priority"] = inputs.whole("priority", given["priority"])
    if options:
        item = JobItem(item.job_type, item.options.but(options), item.args, item.kwargs)
    tz = given["tz"] or "UTC"
    more = _rules(given, tz)
    if more["window"] is None and not given["window"]:
        del more["window"]
    return scheduler.schedule(given["when"], item, id=given["id"] or None, tz=tz, **more)


def _rules(given: dict[str, str], tz: str) -> dict[str, Any]:
    """What holds beside the times: an empty field stands for what is usual."""
    window = given["window"]
    return {
        "overlap": given["overlap"] or "skip",
        "catch_up": given["catch_up"] or "latest",
        "window": None if window in ("", "any") else inputs.span(window),
        "jitter": inputs.span(given["jitter"] or "0"),
        "until": inputs.moment("until", given["until"], tz) if given["until"] else None,
        "max_runs": inputs.whole("max_runs", given["max_runs"]) if given["max_runs"] else None,
    }


def _changes(given: dict[str, str], record: ScheduleRecord) -> dict[str, Any]:
    """What differs: the same phrase again must not move a schedule's next time."""
    tz = given["tz"] or "UTC"
    changes = _rules(given, tz)
    if given["when"] != record.when:
        changes["when"] = given["when"]
    if tz != record.tz:
        changes["tz"] = tz
    if not given["window"]:
        changes["window"] = WINDOW
    if given["until"] == _fields_of(record)["until"]:
        changes["until"] = UNCHANGED
    return changes


def _fields_of(record: ScheduleRecord) -> dict[str, str]:
    """A schedule as the form has it."""
    until = record.view.schedule.plan.until
    return {
        **dict.fromkeys(FIELDS, ""),
        "when": record.when, "tz": record.tz, "type": record.type, "id": record.id,
        "overlap": record.overlap, "catch_up": record.catch_up,
        "window": f"{record.window:g}" if record.window else "any",
        "jitter": f"{record.jitter:g}" if record.jitter else "",
        "until": inputs.wall(until, record.tz) if until else "",
        "max_runs": str(record.max_runs or ""), "queue": record.queue,
    }  # fmt: skip


def _form(
    request: Request,
    given: dict[str, str],
    record: ScheduleRecord | None = None,
    *,
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    return render(
        request, "plan.html", status=status, live=False, path="/schedules", given=given,
        record=record, problem=problem, preview=preview_of(given["when"], given["tz"]),
        types=registry.names, zones=inputs.zones(),
    )  # fmt: skip
