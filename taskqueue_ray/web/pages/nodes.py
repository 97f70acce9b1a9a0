"""Nodes of the cluster: what they hold, what happens there, and whether they get jobs."""

from typing import get_args

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core.model import Strategy
from taskqueue_ray.web.nodes import VERBS, move
from taskqueue_ray.web.pages.rendering import Entry, back, form_of, one, render
from taskqueue_ray.web.site import site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()
ENTRY = Entry("Nodes", "/nodes", "n", "nodes")


@router.get("/nodes")
def nodes(request: Request) -> HTMLResponse:
    """All nodes: the living first."""
    site = site_of(request)
    found = site.memory.recall("nodes", site.queue.nodes.list)
    strategy = site.memory.recall("strategy", lambda: site.queue.load_balancer.strategy)
    return render(
        request, "nodes.html", nodes=found, strategy=strategy, strategies=get_args(Strategy),
        verbs=VERBS,
    )  # fmt: skip


@router.post("/nodes/strategy")
async def choose(request: Request) -> Response:
    """Place workers that start from now on by another strategy."""
    site = site_of(request)
    wanted = one(await form_of(request), "strategy") or ""
    found = await in_thread(lambda: site.queue.load_balancer.set_strategy(wanted))
    await in_thread(lambda: site.acted(request, "place", "workers", f"by {found}"))
    return back(request, "/nodes", f"workers that start from now on are placed by {found}")


@router.post("/nodes/{verb}")
async def act(request: Request, verb: str) -> Response:
    """Cordon, drain, fence or readmit one."""
    site = site_of(request)
    fields = await form_of(request)
    name, within = one(fields, "node") or "", one(fields, "within")
    found = await in_thread(lambda: move(site.queue, verb, name, within))
    shown = found.name or found.host or found.id[:12]
    await in_thread(lambda: site.acted(request, verb, f"node {shown} {found.id}", VERBS[verb]))
    return back(request, "/nodes", f"{shown}: {VERBS[verb]}")
