"""One job: all that is known of it, and what can be done to it."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core.errors import JobNotFound, TaskQueueError
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.why import Why
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.web.pages.rendering import back, form_of, one, pretty, render
from taskqueue_ray.web.site import site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()

PARENTS = 20
"""Parents whose states are looked up."""

REASONS = {
    "attempts": "no attempt is left",
    "final": "it said so",
    "poison": "too many workers vanished while they ran it",
    "parent": "a job that it depends on did not complete",
}
"""Why jobs ended as they did, in words."""


class Step(NamedTuple):
    """A line of the timeline: when it began, how long it took if that is known, and what it was."""

    at: datetime | None
    seconds: float | None
    kind: str
    words: str
    detail: str = ""


class Opened(NamedTuple):
    """A sealed part: as text, or why it cannot be shown."""

    text: str
    is_sealed: bool = False


class Sight(NamedTuple):
    """A job with what belongs to it."""

    record: JobRecord
    why: Why | None
    arguments: Opened
    result: Opened | None
    parents: list[tuple[str, JobRecord | None]]


@router.get("/jobs/{id}")
def job(request: Request, id: str) -> HTMLResponse:
    """The page."""
    site = site_of(request)
    sight = site.memory.recall(("job", id), lambda: see(site.queue, id))
    return render(
        request, "job.html", sight=sight, job=sight.record,
        steps=timeline(sight.record, site.clock()),
        live=not sight.record.state.final,
    )  # fmt: skip


@router.post("/jobs/{id}/cancel")
async def cancel(request: Request, id: str) -> Response:
    """Cancel it."""
    site = site_of(request)
    reason = one(await form_of(request), "reason") or ""
    moved = await in_thread(lambda: site.queue.cancel(id, reason=reason[:200]))
    outcome = "cancelled, or asked to stop" if moved else "it had ended"
    await in_thread(lambda: site.acted(request, "cancel", id, outcome))
    return back(request, f"/jobs/{id}", outcome)


@router.post("/jobs/{id}/redrive")
async def redrive(request: Request, id: str) -> Response:
    """Send it again, with other options if some were given."""
    site = site_of(request)
    fields = await form_of(request)
    given: dict[str, Any] = {
        name: value
        for name in ("queue", "priority", "max_attempts", "timeout")
        if (value := one(fields, name)) is not None
    }
    for name in ("priority", "max_attempts"):
        if given.get(name, "").isdigit():
            given[name] = int(given[name])
    moved = await in_thread(lambda: site.queue.redrive(id, options=given))
    outcome = "it runs again" if moved else "it is no dead letter any more"
    await in_thread(lambda: site.acted(request, "redrive", id, f"{outcome} {given or ''}".strip()))
    return back(request, f"/jobs/{id}", outcome)


@router.post("/jobs/{id}/delete")
async def delete(request: Request, id: str) -> Response:
    """Drop its record."""
    site = site_of(request)
    await in_thread(lambda: site.queue.delete(id))
    await in_thread(lambda: site.acted(request, "delete", id, "gone"))
    return back(request, "/jobs", "its record is gone")


def see(queue: TaskQueue, id: str) -> Sight:
    """Look at a job, and at what it waits for."""
    record = queue.job(id)
    why = None if record.state.final else queue.why(id)
    result = None
    if record.state is JobState.COMPLETED:
        result = opened(lambda: record.result)
    parents = [(one, _found(queue, one)) for one in record.parents[:PARENTS]]
    return Sight(record, why, opened(lambda: record.arguments), result, parents)


def timeline(job: JobRecord, now: float) -> list[Step]:
    """What became of it, in order. What lies between two steps is waiting."""
    steps = [Step(job.enqueued_at, None, "enqueued", "enqueued", f"in {job.queue}")]
    steps += [_attempt(run) for run in job.history]
    if job.state is JobState.PROCESSING:
        seconds = now - job.started_at.timestamp() if job.started_at else None
        steps.append(Step(job.started_at, seconds, "processing", f"attempt {job.attempts + 1}",
                          f"runs on {job.worker}"))  # fmt: skip
    elif job.state is JobState.SCHEDULED:
        steps.append(Step(job.due_at, None, "scheduled", "due", "then it is ready to run"))
    elif job.state is JobState.COMPLETED and job.started_at:
        steps.append(Step(job.started_at, job.seconds, "completed", f"attempt {job.attempts}"))
    if job.state.final:
        steps.append(Step(job.finished_at, None, job.state.value, job.state.value,
                          REASONS.get(job.reason or "", job.reason or "")))  # fmt: skip
    return with_waits(steps)


def _attempt(run: Any) -> Step:
    words = f"attempt {run.number}" if run.problem.cause != "loss" else "run lost"
    detail = f"{run.problem.error_type}: {run.problem.message}"
    return Step(run.started_at, run.seconds, "failed", words, detail)


def with_waits(steps: list[Step]) -> list[Step]:
    """The steps, and between them how long nothing happened."""
    found = steps[:1]
    for before, after in pairwise(steps):
        if before.at and after.at:
            ended = before.at + timedelta(seconds=before.seconds or 0.0)
            gap = (after.at - ended).total_seconds()
            if gap >= 0.05 and after.kind != "scheduled":
                found.append(Step(ended, gap, "waiting", "waited"))
        found.append(after)
    return found


def opened(read: Any) -> Opened:
    """A part of a job as text, if this server has the key."""
    try:
        return Opened(pretty(read()))
    except TaskQueueError as error:
        return Opened(str(error), is_sealed=True)


def _found(queue: TaskQueue, id: str) -> JobRecord | None:
    try:
        return queue.job(id)
    except JobNotFound:
        return None
