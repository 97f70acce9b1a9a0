"""Dead letters by how they failed, and sending a whole group again."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.core.identity import to_text
from taskqueue_ray.web.pages.rendering import Entry, render
from taskqueue_ray.web.site import site_of

router = APIRouter()
ENTRY = Entry("Failed", "/failed", "f", "alert")


@router.get("/failed")
def failed(request: Request) -> HTMLResponse:
    """The groups, the largest first."""
    site = site_of(request)
    queue = request.query_params.get("queue") or None
    summary = site.memory.recall(("failures", queue), lambda: site.queue.failures(queue))
    groups = [(one, to_text(one.latest)) for one in summary.groups]
    total = sum(one.count for one in summary.groups)
    return render(
        request, "failed.html", groups=groups, summary=summary, total=total, queue=queue,
        queues=[record.queue for record in site.poller.look.queues if record.failed],
    )  # fmt: skip
