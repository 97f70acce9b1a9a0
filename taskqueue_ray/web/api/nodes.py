"""Nodes and pools, and draining workers."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.api.models import Toggled
from taskqueue_ray.web.nodes import VERBS, move
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["workers and nodes"])


class Drained(BaseModel):
    """Whether there was such a worker."""

    found: bool


@router.post("/workers/{id}/drain", response_model=Drained)
def drain(request: Request, id: str) -> Response:
    """Let a worker finish what it runs, take nothing more, and leave."""
    site = site_of(request)
    found = site.queue.drain_worker(id)
    site.acted(request, "drain", f"worker {id}", "it leaves" if found else "there is none")
    return json({"found": found})


@router.get("/nodes")
def list_nodes(request: Request) -> Response:
    """All nodes: the living first."""
    site = site_of(request)
    return json({"nodes": list(site.memory.recall("nodes", site.queue.nodes.list))})


@router.post("/nodes/{node}/{verb}")
def act(
    request: Request, node: str, verb: Literal["cordon", "drain", "fence", "readmit"]
) -> Response:
    """Cordon a node, have its workers leave, take its jobs back, or let it in again.

    A node goes by its id, the beginning of one, its registered name, its address, or its host.
    """
    site = site_of(request)
    found = move(site.queue, verb, node)
    site.acted(request, verb, f"node {found.id or found.name}", VERBS[verb])
    return json(found)


@router.get("/pools")
def list_pools(request: Request) -> Response:
    """Every pool, its workers by shape, and what hinders it."""
    site = site_of(request)
    pools = site.memory.recall("pools", site.queue.pools.list)
    rows = [{**one.row(), "shapes": one.staff, "problems": one.problems} for one in pools]
    return json({"pools": rows})


@router.post("/pools/{name}/suspend", response_model=Toggled)
def suspend(request: Request, name: str) -> Response:
    """Let the workers of a pool finish, and start none."""
    site = site_of(request)
    changed = site.queue.pools.suspend(name)
    site.acted(request, "suspend", f"pool {name}", "suspended" if changed else "no change")
    return json({"changed": changed})


@router.post("/pools/{name}/resume", response_model=Toggled)
def resume(request: Request, name: str) -> Response:
    """Have workers again."""
    site = site_of(request)
    changed = site.queue.pools.resume(name)
    site.acted(request, "resume", f"pool {name}", "resumed" if changed else "no change")
    return json({"changed": changed})
