"""Alerts on pages and over REST."""

import msgspec
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.alerts import Delivery, Report, Verdict
from taskqueue_ray.core.observation import Brief
from tests.inprocess import Bench
from tests.unit.web.conftest import VIEWER, Api, Visitor

SECRET = "a-secret-that-nobody-sees"
RULE = {"name": "deep", "metric": "pending", "op": ">", "value": "1,000", "severity": "critical"}


def judge(bench: Bench, report: Report) -> Brief:
    """As the alert actor does."""
    request = msgspec.msgpack.encode(report)
    return msgspec.msgpack.decode(bench.transport.call("alert_round", request), type=Brief)


def fire(bench: Bench, name: str, detail: str = "3 > 1") -> None:
    """A rule of that name is there, and fires."""
    bench.q.alerts.add(name, tq.Threshold("pending", ">", 1), for_=0)
    rule = next(one for one in judge(bench, Report()).rules if one.name == name)
    judge(bench, Report([Verdict(name, rule.at, True, 3.0, detail)]))


def test_what_fires_is_seen_from_every_page_and_muted(operator: Visitor, bench: Bench) -> None:
    assert 'id="firing"' not in operator.get("/").text
    fire(bench, "deep", "3 > 1 <b>")
    operator.app.site.poller.look_again()
    assert 'id="firing">1<' in operator.get("/queues").text
    front = operator.get("/").text
    assert "the alert deep fires: 3 &gt; 1 &lt;b&gt;" in front
    assert "1 firing" in operator.get("/alerts").text
    operator.post("/alerts/deep/mute", **{"for": "1h"})
    (rule,) = bench.q.alerts.firing()
    assert rule.muted_until is not None
    assert "muted" in operator.get("/alerts/deep").text
    assert 'id="firing"' not in operator.get("/").text, "who muted it knows of it"
    operator.post("/alerts/deep/unmute")
    assert bench.q.alerts.firing()[0].muted_until is None


def test_a_rule_is_made_with_a_form_and_its_secrets_stay_unseen(
    operator: Visitor, bench: Bench
) -> None:
    hook = f"https://example.org/{SECRET}"
    given = {**RULE, "queue": "*", "for": "30", "webhook": hook, "secret": SECRET}
    assert operator.post("/alerts", **given).headers["location"] == "/alerts/deep"
    rule = {one.name: one for one in bench.q.alerts.list()}["deep"]
    assert (rule.when, rule.for_, rule.severity) == (
        "pending of any queue > 1,000", 30.0, "critical",
    )  # fmt: skip
    assert rule.sinks == ("log", "webhook example.org")
    for path in ("/alerts", "/alerts/deep", "/actions"):
        assert SECRET not in operator.get(path).text
    assert operator.post("/alerts/deep/delete").headers["location"] == "/alerts"
    assert operator.get("/alerts/deep").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"metric": "mood"}, "mood"), ({"op": "~"}, "comparison"), ({"value": "much"}, "a number"),
        ({"name": "No Name"}, "name"), ({"name": "queue_depth"}, "another name"),
        ({"severity": "bad"}, "severity"), ({"webhook": "ftp://x", "secret": SECRET}, "http"),
        ({"queue": "No Queue"}, "queue"), ({"for": "long"}, "for_"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_beside_the_form(
    operator: Visitor, bench: Bench, wrong: dict[str, str], word: str
) -> None:
    before = bench.q.alerts.list().rows()
    page = operator.post("/alerts", **{**RULE, **wrong})
    assert page.status_code == 400
    assert word in page.text
    assert SECRET not in page.text
    assert bench.q.alerts.list().rows() == before


def test_a_rule_that_is_there_is_not_replaced_by_mistake(operator: Visitor, bench: Bench) -> None:
    operator.post("/alerts", **RULE)
    assert operator.post("/alerts", **{**RULE, "value": "5"}).status_code == 400
    assert "1,000" in {one.name: one.when for one in bench.q.alerts.list()}["deep"]


def test_a_built_in_rule_is_changed_and_put_back(operator: Visitor, bench: Bench) -> None:
    def rule() -> tuple[str, str]:
        found = next(one for one in bench.q.alerts.list() if one.name == "queue_depth")
        return found.when, found.state

    operator.post("/alerts/queue_depth/configure", limit="5,000", enabled="yes")
    assert rule() == ("pending of any queue > 5,000", "ok")
    operator.post("/alerts/queue_depth/configure")
    assert rule() == ("pending of any queue > 5,000", "off")
    operator.post("/alerts/queue_depth/delete")
    assert rule() == ("pending of any queue > 100,000", "ok")
    assert operator.post("/alerts/none/configure", limit="1").status_code == 400


def test_a_test_says_what_came_of_it(
    operator: Visitor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskqueue_ray.web.pages.alerts.PATIENCE", "0.05s")
    operator.post("/alerts", **RULE)
    operator.post("/alerts/deep/test")
    assert "on its way" in operator.get("/alerts/deep").text
    (notice,) = judge(bench, Report()).notices
    judge(bench, Report([], [Delivery(notice.number, 0)]))
    operator.app.site.memory.forget()
    assert "delivered" in operator.get("/alerts/deep").text
    assert operator.post("/alerts/none/test").status_code == 404


def test_a_viewer_looks_and_changes_nothing(stranger: Visitor, bench: Bench) -> None:
    fire(bench, "deep")
    stranger.log_in(VIEWER)
    for path in ("/alerts", "/alerts/deep"):
        assert "Mute" not in stranger.get(path).text
    for path in ("/alerts", "/alerts/deep/mute", "/alerts/deep/delete", "/alerts/deep/test"):
        assert stranger.post(path, **RULE).status_code == 403


def test_programs_read_mute_and_set_rules(api: Api, bench: Bench) -> None:
    body = {"metric": "pending", "op": ">", "value": 10, "queue": "mail", "webhook_secret": SECRET,
            "webhook": "https://example.org/x"}  # fmt: skip
    made = api("PUT", "/alerts/deep", body)
    assert (made.status_code, made.json()["when"]) == (200, "pending of mail > 10")
    assert SECRET not in made.text
    assert api("PUT", "/alerts/deep", {**body, "metric": "mood"}).status_code == 400
    assert api("PUT", "/alerts/deep", {**body, "op": "!"}).status_code == 422
    fire(bench, "other")
    (firing,) = api("GET", "/alerts?firing=true").json()["alerts"]
    assert firing["name"] == "other"
    assert len(api("GET", "/alerts").json()["alerts"]) > 5
    assert api("POST", "/alerts/other/mute", {"seconds": "1h"}).status_code == 204
    events = api("GET", "/alerts/history?name=other").json()["events"]
    assert [one["what"] for one in events] == ["muted", "firing"]
    assert api("POST", "/alerts/other/unmute").status_code == 204
    assert api("POST", "/alerts/none/mute", {}).status_code == 404
    assert api("DELETE", "/alerts/other").status_code == 204
    assert api("DELETE", "/alerts/other").status_code == 404
