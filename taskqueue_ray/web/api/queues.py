"""Queues: counts, pause, resume, settings, purge."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from taskqueue_ray.core.naming import check_name
from taskqueue_ray.sdk.records import QueueRecord
from taskqueue_ray.web.api import models
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.site import Site, site_of

router = APIRouter(tags=["queues"])


@router.get("/queues", response_model=models.Queues)
def list_queues(request: Request) -> Response:
    """All queues with their counts, as they are now."""
    site = site_of(request)
    stats = site.memory.recall("stats", site.queue.stats, 0.5)
    paused = _paused(site)
    return json({"queues": [_info(site, one, paused) for one in stats]})


@router.get("/queues/{queue}", response_model=models.QueueInfo)
def show_queue(request: Request, queue: str) -> Response:
    """One queue. One that has never had a job counts nothing."""
    site = site_of(request)
    stats = site.queue.stats(check_name("queue", queue))
    return json(_info(site, stats, _paused(site)))


@router.post("/queues/{queue}/pause", response_model=models.Toggled)
def pause(request: Request, queue: str) -> Response:
    """Lease no jobs of it from now on; what runs goes on."""
    site = site_of(request)
    changed = site.queue.pause(check_name("queue", queue))
    site.acted(request, "pause", f"queue {queue}", "paused" if changed else "was paused")
    return json({"changed": changed})


@router.post("/queues/{queue}/resume", response_model=models.Toggled)
def resume(request: Request, queue: str) -> Response:
    """Lease its jobs again."""
    site = site_of(request)
    changed = site.queue.resume(check_name("queue", queue))
    site.acted(request, "resume", f"queue {queue}", "resumed" if changed else "was not paused")
    return json({"changed": changed})


@router.patch("/queues/{queue}")
def configure(request: Request, queue: str, changes: models.QueueChanges) -> Response:
    """Change settings of a queue; what holds now."""
    site = site_of(request)
    given = {name: getattr(changes, name) for name in changes.model_fields_set}
    if "weights" in given and given["weights"] is None:
        given["weights"] = {}
    settings = site.queue.queues.configure(queue, **given)
    words = ", ".join(f"{name}={value}" for name, value in given.items())
    site.acted(request, "configure", f"queue {queue}", words or "nothing changed")
    return json(settings)


@router.post("/queues/{queue}/purge", response_model=models.Dropped)
def purge(request: Request, queue: str, wanted: models.Purge) -> Response:
    """Drop the records of its jobs that ended in a state some time ago."""
    site = site_of(request)
    count = site.queue.purge(
        state=wanted.state, older_than=wanted.older_than, queue=check_name("queue", queue)
    )
    target = f"queue {queue}, {wanted.state.value} older than {wanted.older_than}"
    site.acted(request, "purge", target, f"{count} gone")
    return json({"count": count})


def _paused(site: Site) -> set[str]:
    pauses = site.memory.recall("pauses", site.queue.queues.paused, 0.5)
    return {pause.name for pause in pauses if pause.kind == "queue"}


def _info(site: Site, stats: QueueRecord, paused: set[str]) -> dict[str, Any]:
    rates = site.poller.ring.rates(stats.queue)
    return {
        "queue": stats.queue,
        "total": stats.total,
        "counts": {state.value: count for state, count in stats.counts.items()},
        "oldest_waiting": stats.oldest_waiting,
        "paused": stats.queue in paused,
        "enqueued_per_second": round(rates.enqueued, 3),
        "ended_per_second": round(rates.ended, 3),
        "retries": stats.retries,
        "losses": stats.losses,
    }
