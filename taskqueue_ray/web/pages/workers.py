"""Workers and pools: what they serve, what they run, and what keeps more from starting."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.web.pages.rendering import Entry, back, form_of, one, render
from taskqueue_ray.web.site import Site, site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()
ENTRY = Entry("Workers", "/workers", "w", "chip")

RUNNING = 200
"""Running jobs of which more than the id is shown."""


@router.get("/workers")
def workers(request: Request) -> HTMLResponse:
    """All of them, by host; then the pools."""
    site = site_of(request)
    found = sorted(site.poller.look.workers, key=lambda one: (one.host, one.id))
    pools = site.memory.recall("pools", site.queue.pools.list)
    return render(request, "workers.html", workers=found, running=_running(site), pools=pools)


@router.post("/workers/drain")
async def drain(request: Request) -> Response:
    """Let one finish what it runs, and leave."""
    site = site_of(request)
    id = one(await form_of(request), "worker") or ""
    found = await in_thread(lambda: site.queue.drain_worker(id))
    words = "it finishes what it runs, and leaves" if found else "there is no such worker"
    await in_thread(lambda: site.acted(request, "drain", f"worker {id}", words))
    return back(request, "/workers", f"{id}: {words}")


def _running(site: Site) -> dict[str, JobRecord]:
    """The jobs that run, by id."""

    def ask() -> dict[str, JobRecord]:
        page, _ = site.queue.job_page(state=JobState.PROCESSING, limit=RUNNING, seconds=0.2)
        return {record.id: record for record in page}

    return site.memory.recall("running", ask) if site.poller.look.busy else {}
