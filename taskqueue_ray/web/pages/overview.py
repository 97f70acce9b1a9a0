"""The front page: what is happening, and what needs somebody."""

from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk.alerts import AlertRecord
from taskqueue_ray.web.look import Look
from taskqueue_ray.web.pages.rendering import Entry, count, duration, render
from taskqueue_ray.web.site import site_of

router = APIRouter()
ENTRY = Entry("Overview", "/", "o", "pulse")

LONG = 300.0
"""Seconds of waiting after which a ready job is worth a look."""
SILENT = 15.0
"""Seconds after which a worker that has said nothing is."""


class Concern(NamedTuple):
    """Something that somebody should look at."""

    level: str
    words: str
    path: str
    link: str


@router.get("/")
async def overview(request: Request) -> HTMLResponse:
    """The page."""
    poller = site_of(request).poller
    look = poller.look
    return render(
        request,
        "overview.html",
        rates=poller.ring.rates(),
        total=look.rare.performance.total if look.rare.performance else None,
        concerns=concerns(look),
        busiest=sorted(look.queues, key=lambda one: (-one.unfinished, one.queue))[:8],
        ring=poller.ring,
        waiting=look.count(JobState.PENDING),
        later=look.count(JobState.SCHEDULED, JobState.BLOCKED),
        dead=look.count(JobState.FAILED),
    )


def concerns(look: Look) -> list[Concern]:
    """What needs somebody, the worst first."""
    found = [_of_alert(one) for one in look.firing]
    ready = [one for one in look.queues if one.pending and one.queue not in look.paused_queues]
    for queue in ready:
        served = [w for w in look.workers if not w.queues or queue.queue in w.queues]
        if not served:
            words = f"no worker serves {queue.queue}, where {count(queue.pending)} jobs are ready"
            found.append(Concern("bad", words, "/workers", "Workers"))
    for queue in ready:
        age = look.at - queue.oldest_waiting.timestamp() if queue.oldest_waiting else 0.0
        if age > LONG:
            words = f"the oldest ready job of {queue.queue} has waited for {duration(age)}"
            found.append(Concern("warn", words, f"/queues/{queue.queue}", "Queue"))
    silent = sum(worker.seen_ago > SILENT for worker in look.workers)
    if silent:
        words = f"{count(silent)} workers have said nothing for more than {SILENT:.0f} s"
        found.append(Concern("warn", words, "/workers", "Workers"))
    if dead := look.count(JobState.FAILED):
        found.append(Concern("warn", f"{count(dead)} jobs have failed", "/failed", "Look at them"))
    for pause in look.pauses:
        link = ("/queues", "Queues")
        found.append(Concern("info", f"the {pause.kind} {pause.name} is paused", *link))
    return found[:12]


def _of_alert(rule: AlertRecord) -> Concern:
    level = {"critical": "bad", "warning": "warn"}.get(rule.severity, "info")
    words = f"the alert {rule.name} fires: {rule.detail or rule.when}"
    return Concern(level, words[:300], f"/alerts/{rule.name}", "Alert")
