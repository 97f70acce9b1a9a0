"""Who did what from here, and when."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.web.pages.rendering import Entry, render
from taskqueue_ray.web.site import site_of

router = APIRouter()
ENTRY = Entry("Actions", "/actions", "a", "pen")


@router.get("/actions")
def actions(request: Request) -> HTMLResponse:
    """The latest first."""
    audit = site_of(request).audit
    return render(request, "actions.html", actions=audit.latest()[:200], file=audit.path)
