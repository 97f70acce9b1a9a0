"""Queues: what is in them, and their switches."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import QueueSettings
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.web.inputs import whole
from taskqueue_ray.web.pages.rendering import Entry, back, form_of, one, render
from taskqueue_ray.web.site import site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()
ENTRY = Entry("Queues", "/queues", "q", "stack")


@router.get("/queues")
async def queues(request: Request) -> HTMLResponse:
    """All queues."""
    poller = site_of(request).poller
    return render(request, "queues.html", ring=poller.ring)


@router.get("/queues/{queue}")
async def queue(request: Request, queue: str) -> HTMLResponse:
    """One queue."""
    poller = site_of(request).poller
    check_name("queue", queue)
    settings = poller.look.settings.get(queue, QueueSettings())
    performance = poller.look.rare.performance
    return render(
        request,
        "queue.html",
        queue=queue,
        record=poller.look.queue(queue),
        rates=poller.ring.rates(queue),
        measured=performance.of(queue) if performance else None,
        settings=settings,
        weights=", ".join(f"{key}={weight:g}" for key, weight in settings.weights.items()),
        retention=str(settings.retention or ""),
    )


@router.post("/queues/{queue}/pause")
def pause(request: Request, queue: str) -> Response:
    """Pause it."""
    site = site_of(request)
    changed = site.queue.pause(check_name("queue", queue))
    site.acted(request, "pause", f"queue {queue}", "paused" if changed else "was paused")
    return back(request, "/queues", f"{queue} is paused: no job of it starts, what runs goes on")


@router.post("/queues/{queue}/resume")
def resume(request: Request, queue: str) -> Response:
    """Resume it."""
    site = site_of(request)
    changed = site.queue.resume(check_name("queue", queue))
    site.acted(request, "resume", f"queue {queue}", "resumed" if changed else "was not paused")
    return back(request, "/queues", f"{queue} runs again")


@router.post("/queues/{queue}/settings")
async def configure(request: Request, queue: str) -> Response:
    """Change its settings: an empty field takes one back."""
    site = site_of(request)
    fields = await form_of(request)
    depth, retention = one(fields, "max_depth"), one(fields, "retention")
    at_once = one(fields, "concurrency")
    changes: dict[str, Any] = {
        "max_depth": None if depth is None else whole("max_depth", depth),
        "concurrency": None if at_once is None else whole("concurrency", at_once),
        "weights": _weights(one(fields, "weights") or ""),
        "retention": retention,
    }
    await in_thread(lambda: site.queue.queues.configure(queue, **changes))
    words = ", ".join(f"{name}={value}" for name, value in changes.items())
    await in_thread(lambda: site.acted(request, "configure", f"queue {queue}", words))
    return back(request, f"/queues/{queue}", "the settings hold from now on")


@router.post("/queues/{queue}/purge")
async def purge(request: Request, queue: str) -> Response:
    """Drop records of ended jobs, once the name of the queue was typed."""
    site = site_of(request)
    fields = await form_of(request)
    if one(fields, "confirm") != queue:
        raise InvalidOption("confirmation", ascii(one(fields, "confirm")), f"the name {queue}")
    state, age = one(fields, "state") or "", one(fields, "older_than") or "0"
    dropped = await in_thread(
        lambda: site.queue.purge(state=state, older_than=age, queue=check_name("queue", queue))
    )
    target = f"queue {queue}, {state} older than {age}"
    await in_thread(lambda: site.acted(request, "purge", target, f"{dropped} gone"))
    return back(request, f"/queues/{queue}", f"{dropped:,} records of {state} jobs are gone")


def _weights(text: str) -> dict[str, float]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    try:
        return {key.strip(): float(weight) for key, _, weight in pairs}
    except ValueError:
        raise InvalidOption("weights", ascii(text)[:80], "such as gold=3, free=0.5") from None
