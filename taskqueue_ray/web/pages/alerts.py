"""Alerts: what fires, the rules, and what was told."""

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core.alerts import EACH, OPS, SEVERITIES, Threshold
from taskqueue_ray.core.builtin_alerts import BUILTINS
from taskqueue_ray.core.errors import AlertNotFound, InvalidOption, InvalidRequest, Unavailable
from taskqueue_ray.core.gauges import GAUGES
from taskqueue_ray.sdk import sinks
from taskqueue_ray.sdk.alerts import AlertRecord
from taskqueue_ray.web import inputs
from taskqueue_ray.web.pages.rendering import Entry, back, form_of, one, render
from taskqueue_ray.web.problems import status_of
from taskqueue_ray.web.site import Site, site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()
ENTRY = Entry("Alerts", "/alerts", "r", "bell")

EVENTS = 50
PATIENCE = "8s"
"""For how long the page waits for a test to arrive."""
FIELDS = (
    "name", "metric", "op", "value", "queue", "for", "cooldown", "severity", "webhook", "secret",
    "slack",
)  # fmt: skip
_ORDER = ("firing", "error", "pending", "ok", "off")


@router.get("/alerts")
def alerts(request: Request) -> HTMLResponse:
    """The rules, those that fire first, a form for another one, and what happened lately."""
    return _page(request, {})


@router.post("/alerts")
async def make(request: Request) -> Response:
    """Keep a rule. What is wrong is said beside the form, which keeps what was typed."""
    site = site_of(request)
    fields = await form_of(request)
    given = {name: one(fields, name) or "" for name in FIELDS}
    try:
        rule = await in_thread(lambda: _made(site, given))
    except InvalidRequest as error:
        shown = {name: value for name, value in given.items() if name != "secret"}
        words, status = str(error), status_of(error)
        return await in_thread(lambda: _page(request, shown, words, status))
    told = f"{rule.when}, tells {', '.join(rule.sinks)}"
    await in_thread(lambda: site.acted(request, "set rule", f"alert {rule.name}", told))
    return back(request, f"/alerts/{rule.name}", f"{rule.name}: {told}")


@router.get("/alerts/{name}")
def alert(request: Request, name: str) -> HTMLResponse:
    """One rule."""
    site = site_of(request)
    rule = _rule(site, name)
    events = site.memory.recall(
        ("alert", name), lambda: site.queue.alerts.history(name, limit=EVENTS)
    )
    limit = BUILTINS[name].when.value if name in BUILTINS else None
    return render(request, "alert.html", rule=rule, events=events, usual=limit)


@router.post("/alerts/{name}/mute")
async def mute(request: Request, name: str) -> Response:
    """Tell no firing of it for a time, or until it is unmuted."""
    site = site_of(request)
    span = one(await form_of(request), "for")
    wanted = None if span is None else inputs.span(span)
    await in_thread(lambda: site.queue.alerts.mute(name, wanted))
    words = "muted" if span is None else f"muted for {span}"
    await in_thread(lambda: site.acted(request, "mute", f"alert {name}", words))
    return back(request, f"/alerts/{name}", f"{name} is {words}: it is judged all the same")


@router.post("/alerts/{name}/unmute")
def unmute(request: Request, name: str) -> Response:
    """Tell it again."""
    site = site_of(request)
    site.queue.alerts.unmute(name)
    site.acted(request, "unmute", f"alert {name}", "told again")
    return back(request, f"/alerts/{name}", f"{name} is told again")


@router.post("/alerts/{name}/test")
def test(request: Request, name: str) -> Response:
    """Send a test to its sinks, and wait a little for what comes of it."""
    site = site_of(request)
    words = "the test is on its way: what comes of it will be below"
    with suppress(Unavailable):
        found = site.queue.alerts.test(name, timeout=PATIENCE)
        words = "; ".join(f"{event.what}: {event.text}" for event in found) or "nothing to tell"
    site.acted(request, "test", f"alert {name}", words)
    return back(request, f"/alerts/{name}", words)


@router.post("/alerts/{name}/configure")
async def configure(request: Request, name: str) -> Response:
    """Change a built-in rule: its limit, and whether it is on."""
    site = site_of(request)
    fields = await form_of(request)
    changes: dict[str, Any] = {"enabled": one(fields, "enabled") == "yes"}
    if (limit := one(fields, "limit")) is not None:
        changes["limit"] = inputs.number("limit", limit)
    rule = await in_thread(lambda: site.queue.alerts.configure_builtin(name, **changes))
    words = f"{rule.when}, {'off' if rule.state == 'off' else 'on'}"
    await in_thread(lambda: site.acted(request, "configure", f"alert {name}", words))
    return back(request, f"/alerts/{name}", f"{name}: {words}")


@router.post("/alerts/{name}/delete")
def delete(request: Request, name: str) -> Response:
    """Drop a rule, or what was changed of a built-in one."""
    site = site_of(request)
    found = site.queue.alerts.delete(name)
    if name in BUILTINS:
        words = f"{name} is as it was at first" if found else f"nothing was changed of {name}"
    else:
        words = f"{name} is deleted" if found else f"there was no rule {name}"
    site.acted(request, "delete", f"alert {name}", words)
    return back(request, "/alerts", words)


def _made(site: Site, given: dict[str, str]) -> AlertRecord:
    known = {rule.name for rule in site.queue.alerts.list()}
    if given["name"] in known:
        accepts = "another name: delete that rule first"
        raise InvalidOption("name", f"{given['name']!a}, which there is", accepts)
    op = next((op for op in OPS if op == given["op"]), None)
    if op is None:
        raise InvalidOption("comparison", ascii(given["op"])[:80], ", ".join(OPS))
    severity = next((level for level in SEVERITIES if level == given["severity"]), None)
    if severity is None:
        raise InvalidOption("severity", ascii(given["severity"])[:80], ", ".join(SEVERITIES))
    value = inputs.number("value", given["value"])
    when = Threshold(given["metric"], op, value, given["queue"] or None)
    told: list[sinks.Destination] = [sinks.Log()]
    if given["webhook"]:
        told.append(sinks.Webhook(given["webhook"], given["secret"]))
    if given["slack"]:
        told.append(sinks.Slack(given["slack"]))
    return site.queue.alerts.add(
        given["name"], when, for_=inputs.span(given["for"] or "2m"),
        cooldown=inputs.span(given["cooldown"] or "10m"), severity=severity, sinks=told,
    )  # fmt: skip


def _rule(site: Site, name: str) -> AlertRecord:
    rules = site.memory.recall("alerts", site.queue.alerts.list)
    found = next((rule for rule in rules if rule.name == name), None)
    if found is None:
        raise AlertNotFound(name[:80], [rule.name for rule in rules])
    return found


def _page(
    request: Request, given: dict[str, str], problem: str = "", status: int = 200
) -> HTMLResponse:
    site = site_of(request)
    rules = site.memory.recall("alerts", site.queue.alerts.list)
    events = site.memory.recall("alert events", lambda: site.queue.alerts.history(limit=EVENTS))
    ordered = sorted(rules, key=lambda rule: (_ORDER.index(rule.state), rule.builtin, rule.name))
    return render(
        request, "alerts.html", status=status, live=not problem, path="/alerts", rules=ordered,
        events=events, given=given, problem=problem, gauges=GAUGES, ops=OPS,
        severities=SEVERITIES, each=EACH,
        queues=[record.queue for record in site.poller.look.queues],
    )  # fmt: skip
