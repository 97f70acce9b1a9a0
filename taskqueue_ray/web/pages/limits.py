"""Limits and quotas: how far each is used, and its switches."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.sdk.limits import LimitRecord
from taskqueue_ray.web import inputs
from taskqueue_ray.web.limits import Limit, Rule, all_limits, check, drop_limit, set_limit
from taskqueue_ray.web.pages.rendering import Entry, back, duration, form_of, one, render, templates
from taskqueue_ray.web.site import site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()
ENTRY = Entry("Limits", "/limits", "m", "gauge")


@router.get("/limits")
def limits(request: Request) -> HTMLResponse:
    """All of them."""
    site = site_of(request)
    found = site.memory.recall("limits", lambda: all_limits(site.queue))
    quotas = site.memory.recall("quotas", site.queue.quotas.list)
    queues = [record.queue for record in site.poller.look.queues]
    return render(request, "limits.html", limits=found, quotas=quotas, queues=queues)


@router.post("/limits")
async def put(request: Request) -> Response:
    """Set one, in place of the one of its name and key."""
    site = site_of(request)
    fields = await form_of(request)
    n, per = one(fields, "n") or "", one(fields, "per")
    span = None if per is None else inputs.span(per)
    limit, rule = limit_of(fields), Rule(inputs.whole("n", n), span, bool(one(fields, "smooth")))
    await in_thread(lambda: set_limit(site.queue, limit, rule))
    words = f"{rule.n:,} at a time" if per is None else f"{rule.n:,} per {per}"
    await in_thread(lambda: site.acted(request, "limit", str(limit), words))
    return back(request, "/limits", f"limit {limit}: {words}")


@router.post("/limits/delete")
async def delete(request: Request) -> Response:
    """Let everything through again."""
    site = site_of(request)
    limit = limit_of(await form_of(request))
    found = await in_thread(lambda: drop_limit(site.queue, limit))
    words = "deleted: what waits for it may start" if found else "there was no such limit"
    await in_thread(lambda: site.acted(request, "delete", f"limit {limit}", words))
    return back(request, "/limits", f"limit {limit}: {words}")


@router.post("/limits/throttle")
async def throttle(request: Request) -> Response:
    """Start nothing under a limit for a time; 0 opens it."""
    site = site_of(request)
    fields = await form_of(request)
    limit, seconds = limit_of(fields), inputs.span(one(fields, "seconds") or "0")
    name = limit.name or ""
    limiter = site.queue.rate_limiter
    until = await in_thread(lambda: limiter.throttle(name, seconds, limit.key))
    words = f"closed until {until:%H:%M:%S} UTC" if until else "open again"
    await in_thread(lambda: site.acted(request, "throttle", f"limit {limit}", words))
    return back(request, "/limits", f"limit {limit}: {words}")


@router.post("/quotas")
async def put_quota(request: Request) -> Response:
    """Put a ceiling on a resource."""
    site = site_of(request)
    fields = await form_of(request)
    resource, amount = one(fields, "resource") or "", one(fields, "amount") or ""
    queue = one(fields, "queue")
    await in_thread(lambda: site.queue.quotas.set(resource, amount, queue=queue))
    words = f"{resource} {amount}" + (f" for {queue}" if queue else "")
    await in_thread(lambda: site.acted(request, "quota", words, "set"))
    return back(request, "/limits", f"quota: {words}; workers that run stay")


@router.post("/quotas/delete")
async def delete_quota(request: Request) -> Response:
    """Take a ceiling away."""
    site = site_of(request)
    fields = await form_of(request)
    resource, queue = one(fields, "resource") or "", one(fields, "queue")
    found = await in_thread(lambda: site.queue.quotas.delete(resource, queue=queue))
    words = "deleted" if found else "there was none"
    target = f"quota of {resource}" + (f" for {queue}" if queue else "")
    await in_thread(lambda: site.acted(request, "delete", target, words))
    return back(request, "/limits", f"{target}: {words}")


def limit_of(fields: dict[str, list[str]]) -> Limit:
    """The limit that a form is about."""
    limit = Limit(*(one(fields, name) for name in Limit._fields))
    check(limit)
    return limit


def fields_of(record: LimitRecord) -> dict[str, Any]:
    """The hidden fields that name a limit in a form."""
    named = {name: getattr(record, name) for name in Limit._fields}
    return {name: value for name, value in named.items() if value is not None}


def rule_words(record: LimitRecord) -> str:
    """What it allows."""
    if record.kind == "rate":
        return f"{record.n:,} in {duration(record.per)}" + (", evenly" if record.smooth else "")
    return f"{record.n:,} at a time" if record.kind == "concurrency" else "no limit"


templates.filters.update(limit_fields=fields_of, limit_words=rule_words)
