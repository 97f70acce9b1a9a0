"""The history: a search in what ended, and its rows to take away."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.core.lifecycle import FINAL, JobState
from taskqueue_ray.web.api.jobs import moment_or_span
from taskqueue_ray.web.pages.jobs import FILTERS
from taskqueue_ray.web.pages.rendering import Entry, render
from taskqueue_ray.web.site import site_of

router = APIRouter()
ENTRY = Entry("History", "/history", "h", "clock")
LIMIT = 100
KEPT = 5.0
"""Seconds for which a search is kept: it reads files."""


@router.get("/history")
def history(request: Request) -> HTMLResponse:
    """A search, the newest first."""
    site = site_of(request)
    query = request.query_params
    given = {name: query[name].strip() for name in FILTERS if query.get(name, "").strip()}
    wanted = {**given, "since": moment_or_span(given.get("since"))}
    key = ("history", tuple(sorted(given.items())))
    found = site.memory.recall(key, lambda: site.queue.search_history(limit=LIMIT, **wanted), KEPT)
    return render(
        request, "history.html", found=found, given=given, live=False,
        states=[state for state in FINAL if state is not JobState.FAILED],
        queues=[record.queue for record in site.poller.look.queues],
    )  # fmt: skip
