"""Workers: what they serve, and what they run."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.web.pages.overview import SILENT
from taskqueue_ray.web.pages.rendering import Entry, render
from taskqueue_ray.web.site import Site, site_of

router = APIRouter()
ENTRY = Entry("Workers", "/workers", "w", "chip")

RUNNING = 200
"""Running jobs of which more than the id is shown."""


@router.get("/workers")
def workers(request: Request) -> HTMLResponse:
    """All of them, by host."""
    site = site_of(request)
    found = sorted(site.poller.look.workers, key=lambda one: (one.host, one.id))
    return render(request, "workers.html", workers=found, running=_running(site), silent=SILENT)


def _running(site: Site) -> dict[str, JobRecord]:
    """The jobs that run, by id."""

    def ask() -> dict[str, JobRecord]:
        page, _ = site.queue.job_page(state=JobState.PROCESSING, limit=RUNNING, seconds=0.2)
        return {record.id: record for record in page}

    return site.memory.recall("running", ask) if site.poller.look.busy else {}
