"""Who gets in, from where, and to do what."""

import re

import pytest

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.web import WebOptions
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send
from tests.unit.web.conftest import OPERATOR, VIEWER, Clock, Opened, Visitor


def test_a_token_in_the_address_is_no_token(stranger: Visitor) -> None:
    assert stranger.get(f"/queues?token={OPERATOR}").status_code == 303
    assert stranger.get(f"/api/v1/jobs?token={OPERATOR}").status_code == 401


def test_people_come_back_to_where_they_wanted(stranger: Visitor) -> None:
    sent = stranger.get("/jobs?state=failed").headers["location"]
    assert sent == "/login?next=%2Fjobs%3Fstate%3Dfailed"
    assert 'value="/jobs?state=failed"' in stranger.get(sent).text
    assert stranger.log_in(OPERATOR, next="/jobs?state=failed").headers["location"] == (
        "/jobs?state=failed"
    )
    assert stranger.get("/jobs").status_code == 200


@pytest.mark.parametrize("there", ["//evil.example", "https://evil.example", "/\\evil", "x", "/\n"])
def test_they_do_not_come_back_to_another_site(stranger: Visitor, there: str) -> None:
    assert stranger.log_in(OPERATOR, next=there).headers["location"] == "/"


def test_a_session_s_cookie(stranger: Visitor, clock: Clock, options: WebOptions) -> None:
    cookie = stranger.log_in(VIEWER).headers["set-cookie"]
    assert OPERATOR not in cookie
    assert VIEWER not in cookie
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    clock.ahead += options.session_seconds + 1
    assert stranger.get("/queues").status_code == 303


def test_a_cookie_that_was_altered_opens_nothing(stranger: Visitor) -> None:
    stranger.log_in(VIEWER)
    value = stranger.client.cookies["taskqueue_session"]
    for altered in (value.replace("viewer", "operator"), value[:-1], "", "a.b.c.d", "\u00e9"):
        stranger.client.cookies.clear()
        cookie = {b"cookie": f"taskqueue_session={altered}".encode("latin-1")}
        answer = stranger.client.get("/queues", headers=cookie, follow_redirects=False)
        assert answer.status_code == 303


def test_who_leaves_takes_the_key_along(operator: Visitor) -> None:
    value = operator.client.cookies["taskqueue_session"]
    assert operator.post("/logout").headers["location"] == "/login"
    operator.client.cookies.set("taskqueue_session", value)
    assert operator.get("/queues").status_code == 303


def test_whoever_guesses_waits(stranger: Visitor, clock: Clock) -> None:
    for _ in range(5):
        assert stranger.log_in("wrong").status_code == 401
    refused = stranger.log_in(OPERATOR)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 50
    guess = {"authorization": "Bearer wrong"}
    assert stranger.get("/api/v1/jobs", headers=guess).status_code == 429
    clock.ahead += 61
    assert stranger.log_in(OPERATOR).status_code == 303


def test_guesses_of_the_api_count_too(stranger: Visitor) -> None:
    guess = {"authorization": "Bearer wrong"}
    codes = [stranger.get("/api/v1/jobs", headers=guess).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]


def test_a_form_of_another_session_is_refused(operator: Visitor, bench: Bench) -> None:
    for csrf in ("", "wrong", "é"):
        answer = operator.client.post("/queues/mail/pause", data={"csrf": csrf})
        assert answer.status_code == 403
    assert operator.client.post("/api/v1/queues/mail/pause").status_code == 403
    assert bench.q.queues.paused() == []
    assert operator.post("/queues/mail/pause").status_code == 303
    header = {"x-csrf-token": operator.csrf()}
    assert operator.client.post("/api/v1/queues/mail/resume", headers=header).status_code == 200


def test_what_a_foreign_page_can_send_is_no_json(stranger: Visitor) -> None:
    headers = {"authorization": f"Bearer {OPERATOR}", "content-type": "text/plain"}
    answer = stranger.client.post("/api/v1/jobs", headers=headers, content="{}")
    assert answer.status_code == 415


def test_too_large_a_body_is_refused(opened: Opened) -> None:
    visitor = opened(WebOptions(operator_token=OPERATOR, hosts=("testserver",), max_body=1000))
    headers = {"authorization": f"Bearer {OPERATOR}"}
    answer = visitor.client.post("/api/v1/jobs", headers=headers, json={"type": "x" * 2000})
    assert answer.status_code == 413
    assert "1,000 bytes" in answer.json()["detail"]


def test_an_allowed_origin_may_call_and_ask_before(opened: Opened) -> None:
    site = "https://app.example"
    visitor = opened(WebOptions(operator_token=OPERATOR, hosts=("testserver",), origins=(site,)))
    asks = {"origin": site, "access-control-request-method": "POST"}
    before = visitor.client.options("/api/v1/jobs", headers=asks)
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == site
    headers = {"origin": site, "authorization": f"Bearer {OPERATOR}"}
    assert visitor.get("/api/v1/jobs", headers=headers).headers["vary"] == "Origin"
    asks["origin"] = "https://other.example"
    assert visitor.client.options("/api/v1/jobs", headers=asks).status_code == 403


def test_every_answer_has_the_headers_that_keep_pages_safe(operator: Visitor) -> None:
    for path in ("/", "/nowhere", "/static/page.js", "/api/v1/jobs", "/login"):
        headers = operator.get(path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
    assert operator.get("/queues").headers["cache-control"] == "no-store"


def test_without_a_token_whoever_reaches_it_is_an_operator(opened: Opened, bench: Bench) -> None:
    visitor = opened(WebOptions(open=True, hosts=("testserver",)))
    assert visitor.get("/queues").status_code == 200
    assert visitor.post("/queues/mail/pause").status_code == 303
    assert [pause.name for pause in bench.q.queues.paused()] == ["mail"]
    assert visitor.client.post("/queues/mail/resume", data={"csrf": "x"}).status_code == 403
    assert visitor.get("/queues", headers={"origin": "http://evil.example"}).status_code == 403


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {}, {"operator_token": "short"}, {"open": True, "operator_token": OPERATOR},
        {"operator_token": OPERATOR, "viewer_token": OPERATOR},
    ):  # fmt: skip
        with pytest.raises(InvalidOption):
            WebOptions(**wrong)


def test_it_works_under_a_path_of_another_application(bench: Bench) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.testclient import TestClient

    from taskqueue_ray.web import create_app

    app = create_app(bench.q, WebOptions(operator_token=OPERATOR, hosts=("testserver",)))
    _ = send.enqueue("x")
    with TestClient(Starlette(routes=[Mount("/tasks", app)])) as client:
        sent = client.get("/tasks/jobs", follow_redirects=False).headers["location"]
        assert sent == "/tasks/login?next=%2Fjobs"
        let_in = client.post(
            "/tasks/login", data={"token": OPERATOR, "next": "/jobs"}, follow_redirects=False
        )
        assert let_in.headers["location"] == "/tasks/jobs"
        page = client.get("/tasks/jobs").text
        assert 'href="/tasks/static/page.css' in page
        assert set(re.findall(r'(?:href|action|src)="(/[^"]*)"', page)) == {
            link for link in re.findall(r'(?:href|action|src)="(/[^"]*)"', page)
            if link.startswith("/tasks/")
        }  # fmt: skip
        assert client.get("/tasks/static/page.css").status_code == 200
        client.portal.call(app.site.poller.stop)  # type: ignore[union-attr]  # it is entered
