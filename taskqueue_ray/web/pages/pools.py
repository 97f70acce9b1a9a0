"""The switches of pools; they are shown beside the workers."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from taskqueue_ray.web.pages.rendering import back
from taskqueue_ray.web.site import site_of

router = APIRouter()


@router.post("/pools/{name}/suspend")
def suspend(request: Request, name: str) -> Response:
    """Let its workers finish, and start none."""
    site = site_of(request)
    changed = site.queue.pools.suspend(name)
    words = "its workers finish what they run" if changed else "it was suspended, or is not there"
    site.acted(request, "suspend", f"pool {name}", words)
    return back(request, "/workers", f"pool {name}: {words}")


@router.post("/pools/{name}/resume")
def resume(request: Request, name: str) -> Response:
    """Have workers again."""
    site = site_of(request)
    changed = site.queue.pools.resume(name)
    words = "it has workers again" if changed else "it was not suspended"
    site.acted(request, "resume", f"pool {name}", words)
    return back(request, "/workers", f"pool {name}: {words}")
