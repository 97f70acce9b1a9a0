"""Limits and quotas."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from taskqueue_ray.web import limits as limiting
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.api.models import Sent, Timespan
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["limits and quotas"])


class About(Sent):
    """Which limit is meant: by its name, or that of a job type or of a queue."""

    name: str | None = None
    type: str | None = None
    queue: str | None = None
    key: str | None = Field(default=None, description="For this key alone")

    def limit(self) -> limiting.Limit:
        """The same, once it is about one thing."""
        limit = limiting.Limit(self.name, self.type, self.queue, self.key)
        limiting.check(limit)
        return limit


class NewLimit(About):
    """So many units in any `per`; without it, at a time."""

    n: int
    per: Timespan | None = None
    smooth: bool = False


class Throttle(Sent):
    """For how long nothing starts under a limit; 0 opens it."""

    name: str
    key: str | None = None
    seconds: Timespan


class QuotaOf(Sent):
    """Which quota is meant."""

    resource: str = Field(examples=["cpu", "gpu", "memory"])
    queue: str | None = None


class NewQuota(QuotaOf):
    """What workers may hold at most: a number, bytes as text, or a share of the cluster."""

    amount: float | str = Field(examples=["80%", "1GB", 4])


@router.get("/limits")
def list_limits(request: Request) -> Response:
    """All limits, and how far each is used."""
    site = site_of(request)
    found = site.memory.recall("limits", lambda: limiting.all_limits(site.queue))
    return json({"limits": [one._asdict() for one in found]})


@router.put("/limits", status_code=204)
def set_limit(request: Request, wanted: NewLimit) -> Response:
    """Set a limit, in place of the one of its name and key."""
    site = site_of(request)
    limit, rule = wanted.limit(), limiting.Rule(wanted.n, wanted.per, wanted.smooth)
    limiting.set_limit(site.queue, limit, rule)
    words = f"{rule.n:,} at a time" if rule.per is None else f"{rule.n:,} per {rule.per}"
    site.acted(request, "limit", str(limit), words)
    return Response(status_code=204)


@router.post("/limits/delete")
def delete_limit(request: Request, wanted: About) -> dict[str, bool]:
    """Let everything through again."""
    site = site_of(request)
    limit = wanted.limit()
    found = limiting.drop_limit(site.queue, limit)
    site.acted(request, "delete", f"limit {limit}", "deleted" if found else "there was none")
    return {"changed": found}


@router.post("/limits/throttle")
def throttle(request: Request, wanted: Throttle) -> Response:
    """Start nothing under a limit for so long, as after a 429 of somebody else."""
    site = site_of(request)
    until = site.queue.rate_limiter.throttle(wanted.name, wanted.seconds, wanted.key)
    words = f"closed until {until:%H:%M:%S} UTC" if until else "open again"
    site.acted(request, "throttle", f"limit {wanted.name}", words)
    return json({"until": until})


@router.get("/quotas")
def list_quotas(request: Request) -> Response:
    """All quotas, what each comes to now, and what workers hold."""
    site = site_of(request)
    return json({"quotas": list(site.memory.recall("quotas", site.queue.quotas.list))})


@router.put("/quotas", status_code=204)
def set_quota(request: Request, wanted: NewQuota) -> Response:
    """Put a ceiling on a resource. Workers that run stay."""
    site = site_of(request)
    site.queue.quotas.set(wanted.resource, wanted.amount, queue=wanted.queue)
    words = f"{wanted.resource} {wanted.amount}" + (f" for {wanted.queue}" if wanted.queue else "")
    site.acted(request, "quota", words, "set")
    return Response(status_code=204)


@router.post("/quotas/delete")
def delete_quota(request: Request, wanted: QuotaOf) -> dict[str, bool]:
    """Take a ceiling away."""
    site = site_of(request)
    found = site.queue.quotas.delete(wanted.resource, queue=wanted.queue)
    target = f"quota of {wanted.resource}" + (f" for {wanted.queue}" if wanted.queue else "")
    site.acted(request, "delete", target, "deleted" if found else "there was none")
    return {"changed": found}
