"""Alerts: from verdicts on rules to what is told, once each.

A rule is at rest, pending since it first held, or firing since it had held for its time. The
firing is told once, unless it is muted or too soon after the last; its end is told once, if the
firing was. What is told waits in an outbox until each sink has it.
"""

import math
import re

from msgspec.structs import replace

from taskqueue_ray.core.alerts import (
    EACH,
    OPS,
    SEVERITIES,
    Alerts,
    AlertsView,
    Delivery,
    Entry,
    News,
    Notice,
    Rule,
    RuleView,
    Standing,
    Threshold,
    Verdict,
)
from taskqueue_ray.core.builtin_alerts import BUILTINS, rules_in_force
from taskqueue_ray.core.commands import DeleteAlert, JudgeAlerts, MuteAlert, SetAlert, TestAlert
from taskqueue_ray.core.errors import AlertNotFound, InvalidOption
from taskqueue_ray.core.events import (
    AlertChanged,
    AlertDelivered,
    AlertMuted,
    AlertRuleDeleted,
    AlertRuleSet,
    Event,
)
from taskqueue_ray.core.gauges import GAUGES
from taskqueue_ray.core.model import LATEST
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.state import State

_THRESHOLD = re.compile(r"([a-z_]+)\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)", re.ASCII)
MAX_RULES = 200
MAX_SINKS = 10
MAX_SEALED = 256 * 1024
"""Bytes of one sealed predicate or sink."""

MAX_OUTBOX = 1_000
MAX_HISTORY = 500
MAX_TEXT = 500


def check_rule(rule: Rule) -> None:
    """Raises `InvalidOption` for a rule that cannot be kept."""
    check_name("name", rule.name)
    if isinstance(rule.when, Threshold):
        check_threshold(rule.when)
    elif len(rule.when.sealed) > MAX_SEALED:
        raise InvalidOption("predicate", f"{len(rule.when.sealed):,} bytes", f"up to {MAX_SEALED}")
    for option, seconds in (("for_", rule.lasts), ("cooldown", rule.cooldown)):
        if not 0 <= seconds < LATEST:
            raise InvalidOption(option, f"{seconds}", "a duration")
    if rule.severity not in SEVERITIES:
        raise InvalidOption("severity", ascii(rule.severity)[:80], " or ".join(SEVERITIES))
    if not 1 <= len(rule.sinks) <= MAX_SINKS:
        raise InvalidOption("sinks", f"{len(rule.sinks)} sinks", f"1 to {MAX_SINKS}")
    for sink in rule.sinks:
        if len(sink.shown) > MAX_TEXT:
            raise InvalidOption("sinks", ascii(sink.shown)[:80], f"names of {MAX_TEXT} characters")
        if len(sink.sealed) > MAX_SEALED:
            raise InvalidOption("sinks", f"{len(sink.sealed):,} bytes", f"up to {MAX_SEALED}")


def check_threshold(when: Threshold) -> None:
    """Raises `InvalidOption` for a figure, a comparison, a limit or a queue that is none."""
    gauge = GAUGES.get(when.metric)
    if gauge is None:
        raise InvalidOption("metric", ascii(when.metric)[:80], ", ".join(GAUGES))
    if when.op not in OPS:
        raise InvalidOption("op", ascii(when.op)[:80], " or ".join(OPS))
    if not -LATEST < when.value < LATEST * LATEST:
        raise InvalidOption("value", f"{when.value}", "a finite number")
    if when.queue is None:
        return
    if not gauge.by_queue:
        raise InvalidOption("queue", ascii(when.queue)[:80], f"none: {when.metric} has no queues")
    if when.queue != EACH:
        check_name("queue", when.queue)


def parse_threshold(text: str, queue: str | None = None) -> Threshold:
    """A threshold from text. Raises `InvalidOption`.

    >>> print(parse_threshold("pending > 1000", "mail"))
    pending of mail > 1,000
    """
    found = _THRESHOLD.fullmatch(text.strip())
    if found is None:
        accepts = "a figure, a comparison and a number, such as 'pending > 1000'"
        raise InvalidOption("when", ascii(text)[:80], accepts)
    metric, sign, value = found.groups()
    op = next(one for one in OPS if one == sign)
    when = Threshold(metric, op, float(value), queue)
    check_threshold(when)
    return when


# --- rules -----------------------------------------------------------------------------------


def decide_set(state: State, command: SetAlert, now: float) -> tuple[list[Event], Rule]:
    """Keep a rule, in place of the one of its name; the answer is what holds then."""
    rule = replace(command.rule, builtin=command.rule.name in BUILTINS, at=now)
    check_rule(rule)
    alerts = state.alerts
    if rule.builtin != command.rule.builtin:
        given = f"{rule.name!r}, which is built in" if rule.builtin else ascii(rule.name)
        accepts = "another name, or q.alerts.configure_builtin" if rule.builtin else _known()
        raise InvalidOption("name", given, accepts)
    if rule.name not in alerts.rules and len(alerts.rules) >= MAX_RULES:
        raise InvalidOption("name", f"one more than {MAX_RULES} rules", "fewer rules: delete some")
    found: list[Event] = [AlertRuleSet(now, rule)]
    if not rule.enabled:
        found += _at_rest(state, rule.name, now, "the rule was switched off")
    return found, rule


def decide_delete(state: State, command: DeleteAlert, now: float) -> tuple[list[Event], bool]:
    """Drop a rule; a built-in one is as it was at first again. False when there is none."""
    if command.name not in state.alerts.rules:
        return [], False
    ended: list[Event] = []
    if command.name not in BUILTINS:
        ended = _at_rest(state, command.name, now, "the rule was deleted")
    return [*ended, AlertRuleDeleted(now, command.name)], True


def decide_mute(state: State, command: MuteAlert, now: float) -> tuple[list[Event], None]:
    """Tell no firing of a rule until then; a time that is past ends a mute."""
    _rule(state.alerts, command.name)
    until = min(command.until, LATEST)
    return [AlertMuted(now, command.name, until if until > now else 0.0)], None


def decide_test(state: State, command: TestAlert, now: float) -> tuple[list[Event], int]:
    """Send something to the sinks of a rule; the answer is the number of the notice."""
    rule = _rule(state.alerts, command.name)
    notice = _notice(state.alerts.notices + 1, rule, "test", now, f"a test of {rule.name}", None)
    return [AlertChanged(now, [], [notice])], notice.number


# --- verdicts and deliveries ---------------------------------------------------------------------


def decide_judge(state: State, command: JudgeAlerts, now: float) -> tuple[list[Event], None]:
    """What follows from a report of the alert actor. What is no news leaves no event."""
    alerts = state.alerts
    rules = rules_in_force(alerts)
    found: list[Event] = [
        AlertDelivered(now, one.number, one.sink, one.problem[:MAX_TEXT])
        for one in dict.fromkeys(command.report.deliveries)
        if _is_open(alerts, one)
    ]
    standings: dict[str, Standing] = {}
    notices: list[Notice] = []
    for verdict in command.report.verdicts:
        rule = rules.get(verdict.rule)
        if rule is None or not rule.enabled or rule.at != verdict.rule_at:
            continue
        before = alerts.standings.get(rule.name) or Standing(rule.name)
        muted = alerts.mutes.get(rule.name, 0.0) > now
        after, told = step(rule, before, verdict, muted=muted, now=now)
        if told:
            number = alerts.notices + len(notices) + 1
            notices.append(_notice(number, rule, told, now, after.detail, after.value))
        if _is_news(before, after):
            standings[rule.name] = after
    if standings or notices:
        found.append(AlertChanged(now, list(standings.values()), notices))
    return found, None


def step(
    rule: Rule, before: Standing, verdict: Verdict, *, muted: bool, now: float
) -> tuple[Standing, News | None]:
    """Where a rule stands after a verdict, and what is to be told: if anything."""
    if verdict.problem:
        return replace(before, problem=verdict.problem[:MAX_TEXT]), None
    detail = verdict.detail[:MAX_TEXT]
    # What is no number has no form in JSON, which a snapshot is kept in.
    known = verdict.value is not None and math.isfinite(verdict.value)
    value = verdict.value if known else None
    seen = replace(before, value=value, detail=detail, problem="")
    if not verdict.active:
        if before.phase == "ok":
            return seen, None
        ended = replace(seen, phase="ok", since=now, told=False)
        if not before.told:
            return ended, None
        return replace(ended, quiet_until=now + rule.cooldown), "resolved"
    if before.phase == "ok":
        seen = replace(seen, phase="pending", since=now)
    if seen.phase == "pending" and now - seen.since >= rule.lasts:
        seen = replace(seen, phase="firing", since=now)
    if seen.phase == "firing" and not seen.told and not muted and now >= seen.quiet_until:
        return replace(seen, told=True), "firing"
    return seen, None


def apply_set(state: State, event: AlertRuleSet) -> None:
    """From now on this is the rule of its name."""
    state.alerts.rules[event.rule.name] = event.rule


def apply_deleted(state: State, event: AlertRuleDeleted) -> None:
    """The rule is gone, and with it its mute."""
    alerts = state.alerts
    alerts.rules.pop(event.name, None)
    if event.name not in BUILTINS:
        alerts.standings.pop(event.name, None)
        alerts.mutes.pop(event.name, None)


def apply_muted(state: State, event: AlertMuted) -> None:
    """Remember until when; 0 is not at all."""
    alerts = state.alerts
    if event.until:
        alerts.mutes[event.name] = event.until
    else:
        alerts.mutes.pop(event.name, None)
    _note(alerts, Entry(event.at, event.name, "muted" if event.until else "unmuted"))


def apply_changed(state: State, event: AlertChanged) -> None:
    """Rules stand elsewhere, and sinks are to be told."""
    alerts = state.alerts
    for after in event.standings:
        before = alerts.standings.get(after.name)
        if after.problem and (before is None or before.problem != after.problem):
            _note(alerts, Entry(event.at, after.name, "error", after.problem))
        alerts.standings[after.name] = after
    for notice in event.notices:
        alerts.notices = notice.number
        alerts.outbox[notice.number] = notice
        number, value = notice.number, notice.value
        _note(alerts, Entry(event.at, notice.rule, notice.what, notice.summary, number, value))
    while len(alerts.outbox) > MAX_OUTBOX:
        oldest = alerts.outbox.pop(next(iter(alerts.outbox)))
        text = "too many others were waiting to be sent"
        _note(alerts, Entry(event.at, oldest.rule, "undelivered", text, oldest.number))


def apply_delivered(state: State, event: AlertDelivered) -> None:
    """A sink needs to hear no more of a notice."""
    alerts = state.alerts
    notice = alerts.outbox.get(event.number)
    if notice is None:
        return
    left = tuple(place for place in notice.left if place != event.sink)
    if left:
        alerts.outbox[event.number] = replace(notice, left=left)
    else:
        del alerts.outbox[event.number]
    shown = notice.sinks[event.sink].shown or notice.sinks[event.sink].kind
    what = "undelivered" if event.problem else "delivered"
    text = f"{shown}: {event.problem}" if event.problem else shown
    _note(alerts, Entry(event.at, notice.rule, what, text, event.number))


def view(alerts: Alerts) -> AlertsView:
    """What can be seen of alerts."""
    rules = [
        RuleView(rule, alerts.standings.get(name) or Standing(name), alerts.mutes.get(name, 0.0))
        for name, rule in rules_in_force(alerts).items()
    ]
    return AlertsView(rules, list(alerts.outbox.values()), list(alerts.history))


# --- inside ---------------------------------------------------------------------------------------


def _rule(alerts: Alerts, name: str) -> Rule:
    rules = rules_in_force(alerts)
    if name not in rules:
        raise AlertNotFound(name[:80], sorted(rules))
    return rules[name]


def _known() -> str:
    return ", ".join(BUILTINS)


def _is_news(before: Standing, after: Standing) -> bool:
    """Figures change all the time: they are written down when something else has changed."""
    return replace(before, value=after.value, detail=after.detail) != after


def _is_open(alerts: Alerts, delivery: Delivery) -> bool:
    notice = alerts.outbox.get(delivery.number)
    return notice is not None and delivery.sink in notice.left


def _at_rest(state: State, name: str, now: float, why: str) -> list[Event]:
    """A rule is judged no more: whoever was told that it fires hears of the end."""
    standing = state.alerts.standings.get(name)
    if standing is None or standing.phase == "ok":
        return []
    rule = _rule(state.alerts, name)
    told = [_notice(state.alerts.notices + 1, rule, "resolved", now, why, None)]
    return [AlertChanged(now, [Standing(name, since=now)], told if standing.told else [])]


def _notice(
    number: int, rule: Rule, what: News, now: float, detail: str, value: float | None
) -> Notice:
    summary = detail or str(rule.when)
    left = tuple(range(len(rule.sinks)))
    return Notice(number, rule.name, what, now, rule.severity, summary, value, rule.sinks, left)


def _note(alerts: Alerts, entry: Entry) -> None:
    alerts.history.append(entry)
    if len(alerts.history) > MAX_HISTORY:
        del alerts.history[: len(alerts.history) - MAX_HISTORY]
