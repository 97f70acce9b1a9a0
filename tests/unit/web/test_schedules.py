"""Schedules on pages and over REST."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import Resize, send
from tests.unit.web.conftest import VIEWER, Api, Visitor

SEND = send.job_type.name


def _plan(**fields: str) -> dict[str, str]:
    return {"when": "every day at 2:30 AM", "type": SEND, "arguments": '{"to": "ann"}', **fields}


def test_what_a_phrase_means_is_shown_before_it_is_kept(operator: Visitor, bench: Bench) -> None:
    page = operator.client.get(
        "/plan/preview", params={"when": "every monday at 9:00", "tz": "Europe/Berlin"}
    ).text
    assert "every Monday at 09:00" in page
    assert page.count("<tr>") == 1 + 5
    assert re.search(r"T?09:00:00\+0[12]:00", page)
    assert not bench.q.scheduler.list()


def test_a_phrase_that_is_refused_comes_with_what_could_be_meant(operator: Visitor) -> None:
    page = operator.client.get("/plan/preview", params={"when": "biweekly"}).text
    assert "meaning wrong" in page
    (words, *_) = re.findall(r'data-fill="when" data-value="([^"]+)"', page)
    again = operator.client.get("/plan/preview", params={"when": words}).text
    assert "meaning right" in again
    zone = operator.client.get("/plan/preview", params={"when": "15m", "tz": "Berlin"}).text
    assert "Europe/Berlin" in zone


def test_a_schedule_is_made_seen_switched_and_deleted(operator: Visitor, bench: Bench) -> None:
    made = operator.post("/plan", **_plan(id="nightly", tz="Europe/Berlin", priority="70"))
    assert made.headers["location"] == "/schedules/nightly"
    record = bench.q.scheduler.get("nightly")
    assert (record.arguments, record.queue, record.tz) == (
        {"to": "ann"}, "mail", "Europe/Berlin",
    )  # fmt: skip
    assert "nightly" in operator.get("/schedules").text
    assert "every day at 02:30" in operator.get("/schedules/nightly").text

    operator.post("/schedules/nightly/pause")
    assert bench.q.scheduler.get("nightly").state == "paused"
    assert "None while it is paused" in operator.get("/schedules/nightly").text
    operator.post("/schedules/nightly/resume")
    operator.post("/schedules/nightly/run")
    (job,) = bench.q.jobs(queue="mail")
    assert job.priority == 70
    assert job.id in operator.get("/schedules/nightly").text
    operator.post("/schedules/nightly/delete")
    assert not bench.q.scheduler.list()
    verbs = [one.verb for one in operator.app.site.audit.latest()]
    assert verbs[:5] == ["delete", "run now", "resume", "pause", "schedule"]


def test_a_class_of_jobs_is_scheduled_with_its_payload(operator: Visitor, bench: Bench) -> None:
    given = _plan(type=f"{Resize.__module__}.Resize", arguments='{"path": "a.png"}', id="images")
    assert operator.post("/plan", **given).status_code == 303
    operator.post("/schedules/images/run")
    bench.work()
    (job,) = bench.q.jobs(queue="images")
    assert job.result == "a.png"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"when": "biweekly"}, "ambiguous"), ({"when": "sometimes"}, "not understood"),
        ({"type": "no.such"}, "no job type"), ({"arguments": "[1]"}, "JSON object"),
        ({"arguments": '{"nobody": 1}'}, "arguments"), ({"id": "No Name"}, "option"),
        ({"tz": "Mars/Base"}, "time zone"), ({"max_runs": "few"}, "whole number"),
        ({"until": "soon"}, "a time"), ({"overlap": "perhaps"}, "overlap"),
    ],
)  # fmt: skip
def test_a_form_that_is_wrong_says_so_and_keeps_what_was_typed(
    operator: Visitor, bench: Bench, fields: dict[str, str], word: str
) -> None:
    page = operator.post("/plan", **_plan(**fields))
    assert page.status_code == 400
    assert word in page.text
    assert f'value="{SEND}"' in page.text or "type" in fields
    assert not bench.q.scheduler.list()


def test_another_of_the_same_name_is_refused(operator: Visitor, bench: Bench) -> None:
    operator.post("/plan", **_plan(id="nightly"))
    assert operator.post("/plan", **_plan(id="nightly", when="15m")).status_code == 409
    assert bench.q.scheduler.get("nightly").words == "every day at 02:30"


def test_a_change_leaves_the_next_time_alone_unless_it_is_about_it(
    operator: Visitor, bench: Bench
) -> None:
    bench.q.scheduler.schedule("90m", send, "ann", id="often")
    before = bench.q.scheduler.get("often")
    fields = {"when": before.when, "tz": "UTC", "overlap": "allow", "catch_up": "all"}
    bench.advance(600)
    assert operator.post("/schedules/often/edit", **fields).status_code == 303
    after = bench.q.scheduler.get("often")
    assert (after.overlap, after.catch_up, after.window) == ("allow", "all", 86_400)
    assert after.next_at == before.next_at
    operator.post("/schedules/often/edit", **{**fields, "when": "every day at 3:00"})
    assert bench.q.scheduler.get("often").words == "every day at 03:00"
    assert "every day at 03:00" in operator.get("/schedules/often/edit").text
    assert operator.get("/schedules/none").status_code == 404


def test_what_has_passed_is_filled_in_by_the_clock_of_the_zone(
    operator: Visitor, bench: Bench
) -> None:
    bench.q.scheduler.schedule("0 * * * *", send, "ann", id="hourly", tz="Asia/Tokyo")
    day = (datetime.now(UTC) - timedelta(days=3)).date()
    times = {"from": f"{day}T10:00", "to": f"{day}T12:00"}
    assert operator.post("/schedules/hourly/backfill", **times).status_code == 303
    jobs = list(bench.q.jobs(schedule="hourly"))
    assert sorted(job.scheduled_for.hour for job in jobs if job.scheduled_for) == [10, 11, 12]
    assert operator.post("/schedules/hourly/backfill", to="x", **{"from": "y"}).status_code == 400


def test_late_ones_and_errors_stand_out(
    operator: Visitor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.q.scheduler.schedule("10m", send, "ann", id="often")
    bench.advance(1200)
    assert "10 min late" in operator.get("/schedules").text
    assert "10 min late" in operator.get("/schedules/often").text
    bench.fire()
    operator.app.site.memory.forget()
    assert " late<" not in operator.get("/schedules").text


def test_a_viewer_looks_and_changes_nothing(stranger: Visitor, bench: Bench) -> None:
    bench.q.scheduler.schedule("10m", send, "ann", id="often")
    stranger.log_in(VIEWER)
    for path in ("/schedules", "/schedules/often", "/plan", "/schedules/often/edit"):
        page = stranger.get(path)
        assert page.status_code == 200
        assert 'class="main"' not in page.text
        assert "Run now" not in page.text
    for verb in ("pause", "run", "delete", "edit", "backfill"):
        assert stranger.post(f"/schedules/often/{verb}").status_code == 403


# --- REST -------------------------------------------------------------------------------------


def test_programs_make_and_move_schedules(api: Api, bench: Bench) -> None:
    body = {
        "when": "every day at 2:30 AM", "id": "nightly", "tz": "Europe/Berlin", "max_runs": 3,
        "job": {"type": SEND, "kwargs": {"to": "ann"}, "tags": ["a"]},
    }  # fmt: skip
    made = api("POST", "/schedules", body)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/schedules/nightly")
    assert api("POST", "/schedules", body).status_code == 201  # the same again is no news
    assert api("POST", "/schedules", {**body, "when": "1h"}).status_code == 409
    assert api("POST", "/schedules", {**body, "when": "1h", "replace": True}).status_code == 201
    (listed,) = api("GET", "/schedules").json()["schedules"]
    assert (listed["id"], listed["words"], listed["state"]) == ("nightly", "every hour", "active")
    shown = api("GET", "/schedules/nightly")
    assert shown.json()["arguments"]["to"] == "ann"
    assert len(shown.json()["next"]) == 3
    tag = shown.headers["etag"]
    assert api("GET", "/schedules/nightly", if_none_match=tag).status_code == 304
    assert api("PATCH", "/schedules/nightly", {"overlap": "allow"}).json()["overlap"] == "allow"
    assert bench.q.scheduler.get("nightly").max_runs == 3
    assert api("POST", "/schedules/nightly/pause").json()["state"] == "paused"
    job = api("POST", "/schedules/nightly/run").json()["job"]
    assert bench.q.job(job).tags == ("a",)
    assert api("POST", "/schedules/nightly/resume").json()["state"] == "active"
    past = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T02:00:00Z"}
    assert api("POST", "/schedules/nightly/backfill", past).status_code in (201, 400)
    assert api("DELETE", "/schedules/nightly").status_code == 204
    assert api("DELETE", "/schedules/nightly").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"when": "sometimes", "job": {"type": SEND, "args": ["x"]}}, 400),
        ({"when": "1h", "job": {"type": SEND}}, 400),
        ({"when": "1h", "job": {"type": SEND, "args": ["x"], "delay": 5}}, 400),
        ({"when": "1h", "job": {"type": SEND, "args": ["x"], "id": "a" * 32}}, 400),
        ({"when": "1h"}, 422), ({"when": "1h", "job": {"type": SEND}, "colour": 1}, 422),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(
    api: Api, bench: Bench, body: dict[str, object], status: int
) -> None:
    assert api("POST", "/schedules", body).status_code == status
    assert not bench.q.scheduler.list()


def test_a_phrase_is_explained_over_rest(api: Api) -> None:
    told = api("GET", "/explain?when=*/15 * * * *&tz=Europe/Berlin&n=2").json()
    assert (told["canonical"], len(told["next"])) == ("*/15 * * * *", 2)
    refused = api("GET", "/explain?when=biweekly").json()
    assert refused["suggestions"]
