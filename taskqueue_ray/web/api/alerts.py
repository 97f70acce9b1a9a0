"""Alerts: rules, what fires, what was told."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from taskqueue_ray.core.alerts import Threshold
from taskqueue_ray.core.errors import AlertNotFound
from taskqueue_ray.sdk import sinks
from taskqueue_ray.web.api.answers import json
from taskqueue_ray.web.api.models import Sent, Timespan
from taskqueue_ray.web.site import site_of

router = APIRouter(tags=["alerts"])


class NewRule(Sent):
    """A figure that is compared with a limit, and whom to tell. The log is told in any case."""

    metric: str = Field(examples=["pending"])
    op: Literal[">", ">=", "<", "<="]
    value: float
    queue: str | None = Field(default=None, description='"*": any one; null: all together')
    for_seconds: Timespan = Field(default="2m", description="It must hold for so long")
    cooldown: Timespan = "10m"
    severity: Literal["info", "warning", "critical"] = "warning"
    webhook: str | None = None
    webhook_secret: str = ""
    slack: str | None = None


class Mute(Sent):
    """For how long nothing is told; null: until it is unmuted."""

    seconds: Timespan | None = None


@router.get("/alerts")
def list_rules(request: Request, firing: bool = False) -> Response:
    """All rules, the built-in ones first, and where each stands; or only those that fire."""
    site = site_of(request)
    rules = site.memory.recall("alerts", site.queue.alerts.list)
    return json({"alerts": [one for one in rules if one.state == "firing" or not firing]})


@router.get("/alerts/history")
def history(
    request: Request, name: str | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Response:
    """What happened lately, the newest first."""
    return json({"events": list(site_of(request).queue.alerts.history(name, limit=limit))})


@router.put("/alerts/{name}")
def put(request: Request, name: str, wanted: NewRule) -> Response:
    """Keep a rule, in place of the one of its name."""
    site = site_of(request)
    when = Threshold(wanted.metric, wanted.op, wanted.value, wanted.queue)
    told: list[sinks.Destination] = [sinks.Log()]
    if wanted.webhook is not None:
        told.append(sinks.Webhook(wanted.webhook, wanted.webhook_secret))
    if wanted.slack is not None:
        told.append(sinks.Slack(wanted.slack))
    rule = site.queue.alerts.add(
        name, when, for_=wanted.for_seconds, cooldown=wanted.cooldown, severity=wanted.severity,
        sinks=told,
    )  # fmt: skip
    words = f"{rule.when}, tells {', '.join(rule.sinks)}"
    site.acted(request, "set rule", f"alert {name}", words)
    return json(rule)


@router.post("/alerts/{name}/mute", status_code=204)
def mute(request: Request, name: str, wanted: Mute) -> Response:
    """Tell no firing of it for a time. It is judged all the same."""
    site = site_of(request)
    site.queue.alerts.mute(name, wanted.seconds)
    words = "muted" if wanted.seconds is None else f"muted for {wanted.seconds}"
    site.acted(request, "mute", f"alert {name}", words)
    return Response(status_code=204)


@router.post("/alerts/{name}/unmute", status_code=204)
def unmute(request: Request, name: str) -> Response:
    """Tell it again."""
    site = site_of(request)
    site.queue.alerts.unmute(name)
    site.acted(request, "unmute", f"alert {name}", "told again")
    return Response(status_code=204)


@router.delete("/alerts/{name}", status_code=204)
def delete(request: Request, name: str) -> Response:
    """Drop a rule, or what was changed of a built-in one."""
    site = site_of(request)
    if not site.queue.alerts.delete(name):
        raise AlertNotFound(name[:80], [rule.name for rule in site.queue.alerts.list()])
    site.acted(request, "delete", f"alert {name}", "deleted")
    return Response(status_code=204)
