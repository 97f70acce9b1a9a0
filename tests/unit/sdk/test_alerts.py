"""`q.alerts` without Ray: rules in, what is kept, what is shown, what is refused."""

import asyncio
import functools
from typing import Any

import msgspec
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.alerts import Delivery, Report, Verdict
from taskqueue_ray.core.observation import Brief
from taskqueue_ray.engine.job_sink import batch_of
from taskqueue_ray.engine.sinks import open_config
from taskqueue_ray.engine.telling import message_of
from tests.inprocess import Bench

SECRET = "very-secret"


@tq.job(queue="reports")
def report(alert: dict[str, Any], room: str = "") -> str:
    return f"{alert['rule']} {room}"


@tq.job
def counts(number: int) -> int:
    return number


def _round(bench: Bench, report: Report) -> Brief:
    """As the alert actor does."""
    request = msgspec.msgpack.encode(report)
    return msgspec.msgpack.decode(bench.transport.call("alert_round", request), type=Brief)


def test_a_rule_is_kept_over_a_restart_and_its_secrets_are_sealed(bench: Bench) -> None:
    sinks: list[Any] = [
        tq.sinks.Webhook(f"https://example.org/{SECRET}", SECRET, {"X-Key": SECRET}),
        tq.sinks.Slack(f"https://hooks.slack.com/services/{SECRET}"),
        tq.sinks.Email("ops@example.org", "mail.example.org", user="me", password=SECRET),
        tq.sinks.Log(),
    ]
    rule = bench.q.alerts.add("deep", lambda stats: stats.pending > 10, sinks=sinks, for_="1m")
    assert (rule.state, rule.for_, rule.cooldown, rule.severity) == ("ok", 60.0, 600.0, "warning")
    assert rule.sinks == (
        "webhook example.org", "slack hooks.slack.com", "email ops@example.org", "log",
    )  # fmt: skip
    assert rule.when.endswith("<lambda>(stats)")
    bench.restart()
    assert {one.name: one for one in bench.q.alerts.list()}["deep"] == rule
    shown = repr(sinks) + repr(rule) + repr(bench.q.alerts.list())
    stored = b"".join(bench.host.fs.read(name) for name in _files(bench))
    assert SECRET not in shown
    assert SECRET.encode() not in stored


def _files(bench: Bench) -> list[str]:
    fs = bench.host.fs
    return [f"journal/{name}" for name in fs.list("journal")]


def test_firing_is_seen_told_and_kept(bench: Bench) -> None:
    q = bench.q
    q.alerts.add("deep", tq.Threshold("pending", ">", 1), for_=0, sinks=[tq.sinks.Log()])
    q.enqueue_many(counts.item(n) for n in range(3))
    brief = _round(bench, Report())
    assert brief.observation.gauges["unserved"] == {"default": 3.0}
    (rule,) = [one for one in brief.rules if one.name == "deep"]
    brief = _round(bench, Report([Verdict("deep", rule.at, True, 3.0, "3 > 1")]))
    (notice,) = brief.notices
    assert [(one.name, one.detail, one.value) for one in q.alerts.firing()] == [
        ("deep", "3 > 1", 3.0)
    ]
    _round(bench, Report([], [Delivery(notice.number, 0)]))
    bench.restart()
    assert _round(bench, Report()).notices == [], "what is delivered is not told again"
    assert [one.what for one in q.alerts.history()] == ["delivered", "firing"]
    assert [one.what for one in q.alerts.history("deep", limit=1)] == ["delivered"]
    assert len(q.alerts.history("another")) == 0
    assert "deep" in repr(q.alerts.firing())


def test_muting_and_deleting(bench: Bench) -> None:
    alerts = bench.q.alerts
    alerts.add("deep", tq.Threshold("pending", ">", 1))
    alerts.mute("deep", "1h")
    assert {one.name for one in alerts.list() if one.muted_until} == {"deep"}
    alerts.mute("deep")
    alerts.unmute("deep")
    assert not any(one.muted_until for one in alerts.list())
    assert alerts.delete("deep")
    assert not alerts.delete("deep")
    for call in (alerts.mute, alerts.unmute, alerts.test):
        with pytest.raises(tq.AlertNotFound, match="queue_depth"):
            call("deep")


def test_builtin_rules(bench: Bench) -> None:
    alerts = bench.q.alerts
    changed = alerts.configure_builtin(
        "queue_depth", limit=5, for_="10s", severity="critical", sinks=[tq.sinks.Log()]
    )
    assert (changed.when, changed.for_, changed.severity) == (
        "pending of any queue > 5", 10.0, "critical",
    )  # fmt: skip
    assert alerts.configure_builtin("queue_depth", enabled=False).state == "off"
    assert "queue_depth" not in {one.name for one in _round(bench, Report()).rules}
    assert alerts.delete("queue_depth")
    assert alerts.list()[0].when == "pending of any queue > 100,000"
    with pytest.raises(tq.InvalidOption, match="one of queue_depth"):
        alerts.configure_builtin("deep", limit=1)
    with pytest.raises(tq.InvalidOption, match="limit"):
        alerts.configure_builtin("queue_depth", limit=True)


def test_a_job_gets_the_alert_and_is_one_however_often_it_is_told(bench: Bench) -> None:
    urgent = report.options(priority=15, tags=["alert"], fair_key="ops")
    sink = tq.sinks.EnqueueJob(urgent, room="blue")
    bench.q.alerts.add("deep", tq.Threshold("pending", ">", 1), sinks=[sink])
    number = msgspec.msgpack.decode(
        bench.transport.call("test_alert", msgspec.msgpack.encode({"name": "deep"})), type=int
    )
    (notice,) = _round(bench, Report()).notices
    assert notice.number == number
    config = open_config(notice.sinks[0], bench.sealer, "deep")
    for _ in range(2):
        message = message_of(notice, "here")
        bench.transport.call("enqueue", batch_of(notice, 0, config, message, bench.sealer))
    (job,) = bench.q.jobs(queue="reports")
    assert (job.priority, job.tags) == (15, ("alert",))
    assert job.arguments["alert"]["state"] == "test"
    bench.work()
    assert bench.q.handle(job.id).result(timeout=5) == "deep blue"


class _Hidden:
    def __call__(self, stats: Any) -> bool:
        return True


@pytest.mark.parametrize(
    ("predicate", "takes"),
    [
        (lambda stats: True, ("stats",)),
        (lambda nodes, workers: True, ("nodes", "workers")),
        (lambda stats, limit=5: True, ("stats",)),
        (functools.partial(lambda limit, stats: True, 5), ("stats",)),
        (_Hidden(), ("stats",)),
    ],
)
def test_what_may_be_a_predicate(bench: Bench, predicate: Any, takes: tuple[str, ...]) -> None:
    assert bench.q.alerts.add("x", predicate).when.endswith(f"({', '.join(takes)})")


async def _later(stats: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"predicate": lambda pending: True}, "wants pending"),
        ({"predicate": lambda: True}, "looks at nothing"),
        ({"predicate": _later}, "is async"),
        ({"predicate": "pending > 1"}, "a function of any of stats, workers"),
        ({"predicate": tq.Threshold("depth", ">", 1)}, "option 'metric'"),
        ({"name": "No Name"}, "option 'name'"),
        ({"name": "queue_depth"}, "configure_builtin"),
        ({"for_": "soon"}, "option 'for_'"),
        ({"cooldown": -1}, "option 'cooldown'"),
        ({"severity": "loud"}, "info or warning or critical"),
        ({"sinks": "log"}, "option 'sinks'"),
        ({"sinks": []}, "option 'sinks'"),
        ({"sinks": [tq.sinks.Webhook(f"ftp://{SECRET}")]}, "http://"),
        ({"sinks": [tq.sinks.Webhook("https://")]}, "http://"),
        ({"sinks": [tq.sinks.Webhook("http://x", headers={"A\n": "b"})]}, "option 'headers'"),
        ({"sinks": [tq.sinks.Slack(f"hooks.slack.com/{SECRET}")]}, "https://"),
        ({"sinks": [tq.sinks.Email("nobody")]}, "option 'to'"),
        ({"sinks": [tq.sinks.Email("a@b.c\nBcc: x@y.z")]}, "option 'to'"),
        ({"sinks": [tq.sinks.Email([])]}, "option 'to'"),
        ({"sinks": [tq.sinks.Email("a@b.c", port=0)]}, "option 'port'"),
        ({"sinks": [tq.sinks.Email("a@b.c", tls="maybe")]}, "option 'tls'"),  # type: ignore[arg-type]  # that is the point
        ({"sinks": [tq.sinks.Email("a@b.c", "mail.x", password="p", tls="none")]}, "option 'tls'"),
        ({"sinks": [tq.sinks.EnqueueJob(counts)]}, "number"),
        ({"sinks": [tq.sinks.EnqueueJob(report.options(delay="1m"))]}, "option 'job'"),
        ({"sinks": [tq.sinks.EnqueueJob("nobody")]}, "no job type"),
        ({"sinks": [tq.sinks.Call("nobody")]}, "option 'function'"),  # type: ignore[arg-type]  # that is the point
    ],
)  # fmt: skip
def test_what_is_refused_is_not_kept(bench: Bench, given: dict[str, Any], words: str) -> None:
    rule = {"name": "x", "predicate": tq.Threshold("pending", ">", 1), **given}
    with pytest.raises(tq.InvalidRequest) as refusal:
        bench.q.alerts.add(rule.pop("name"), rule.pop("predicate"), **rule)
    assert words in str(refusal.value)
    assert SECRET not in str(refusal.value)
    assert not any(not one.builtin for one in bench.q.alerts.list())


def test_a_function_that_cannot_travel_is_refused(bench: Bench) -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(tq.Unserialisable, match="alert rule 'x'"):
        bench.q.alerts.add("x", lambda stats: lock.locked())


def test_the_twins_for_async_code(bench: Bench) -> None:
    asyncio.run(_twins(bench))


async def _twins(bench: Bench) -> None:
    alerts = bench.q.alerts
    await alerts.aadd("deep", tq.Threshold("pending", ">", 1))
    await alerts.amute("deep", "1m")
    await alerts.aunmute("deep")
    assert (await alerts.alist())[-1].name == "deep"
    assert len(await alerts.afiring()) == 0
    assert len(await alerts.ahistory()) == 2
    assert (await alerts.aconfigure_builtin("queue_depth", limit=3)).when.endswith("3")
    assert await alerts.adelete("deep")


def test_without_an_actor_there_is_nobody_to_examine(bench: Bench) -> None:
    with pytest.raises(tq.QueueClosed, match="examined"):
        bench.q.health()
