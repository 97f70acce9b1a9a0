"""Who gets in, from where, and to do what."""

import re
from typing import NamedTuple

import pytest
from fastapi.routing import APIRoute

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.web import WebOptions
from taskqueue_ray.web.app import WebApp
from taskqueue_ray.web.pages import PAGES
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send
from tests.unit.web.conftest import OPERATOR, VIEWER, Clock, Opened, Visitor

OPEN = ("/login", "/api/v1/health")


class Route(NamedTuple):
    """A method and a path of the application."""

    method: str
    path: str

    @property
    def is_page(self) -> bool:
        return not self.path.startswith(("/api/", "/live", "/metrics"))


def _routes(app: WebApp) -> list[Route]:
    """Every route, out of the description for programs and out of the pages."""
    described = app.routes.openapi()["paths"]
    found = [
        Route(method.upper(), re.sub(r"\{\w+\}", "a" * 32, path))
        for path, methods in described.items()
        for method in methods
    ]
    pages = [
        "/", "/queues", "/queues/a", "/jobs", "/jobs/many/cancel", f"/jobs/{'a' * 32}", "/failed",
        "/workflows", "/workflows/a", "/workers", "/history", "/actions", "/api", "/login", "/live",
        "/live/points", "/live/days", "/metrics", "/schedules", "/schedules/a", "/schedules/a/edit",
        "/plan", "/plan/preview", "/nodes", "/limits", "/alerts", "/alerts/a",
    ]  # fmt: skip
    forms = [
        "/queues/a/pause", "/queues/a/resume", "/queues/a/settings", "/queues/a/purge",
        "/jobs/many/cancel", "/jobs/selected", f"/jobs/{'a' * 32}/cancel",
        f"/jobs/{'a' * 32}/redrive", f"/jobs/{'a' * 32}/delete", "/logout",
        "/schedules/a/pause", "/schedules/a/resume", "/schedules/a/run", "/schedules/a/delete",
        "/schedules/a/backfill", "/schedules/a/edit", "/plan", "/alerts", "/alerts/a/mute",
        "/alerts/a/unmute", "/alerts/a/test", "/alerts/a/configure", "/alerts/a/delete",
        "/workers/drain", "/pools/a/suspend", "/pools/a/resume", "/nodes/strategy",
        "/nodes/cordon", "/limits", "/limits/delete", "/limits/throttle", "/quotas",
        "/quotas/delete",
    ]  # fmt: skip
    found += [Route("GET", path) for path in pages if path != "/live"]
    found += [Route("POST", path) for path in forms]
    return [*found, Route("POST", "/login"), Route("DELETE", "/jobs"), Route("PUT", "/nowhere")]


def test_every_route_is_behind_the_door(stranger: Visitor) -> None:
    """The matrix of method, route, host, origin and token, against the rules in a few lines."""
    wrong = []
    routes = _routes(stranger.app)
    assert len(routes) > 50
    for route in routes:
        for host in ("testserver", "evil.example", ""):
            for origin in (None, "http://testserver", "http://evil.example", "null"):
                for token in (None, OPERATOR, VIEWER):
                    status = _ask(stranger, route, host, origin, token)
                    if not _expected(route, host, origin, token, status):
                        wrong.append((*route, host, origin, token, status))
    assert wrong == []


def _ask(visitor: Visitor, route: Route, host: str, origin: str | None, token: str | None) -> int:
    headers = {"host": host}
    if origin is not None:
        headers["origin"] = origin
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    visitor.app.site.attempts.__init__()  # type: ignore[misc]  # refusals here are no guesses
    answer = visitor.client.request(
        route.method, route.path, headers=headers, follow_redirects=False
    )
    return int(answer.status_code)


def _expected(route: Route, host: str, origin: str | None, token: str | None, status: int) -> bool:
    if host != "testserver":
        return status == 421
    if origin not in (None, "http://testserver"):
        return status == 403
    if route.path in OPEN:
        return status not in (403, 421)
    if token is None:
        return status == (303 if route.is_page and route.method == "GET" else 401)
    if token == VIEWER and route.method != "GET" and route.path != "/logout":
        return status == 403
    return status not in (401, 403, 421)  # let in: what it finds is another matter


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


def test_every_page_and_form_is_in_the_matrix(stranger: Visitor) -> None:
    """A page that is added is asked for by the test above, or this one says so."""
    known = {(route.method, _shape(route.path)) for route in _routes(stranger.app)}
    routes = [route for page in PAGES for route in page.router.routes]
    found = {
        (method, _shape(route.path))
        for route in routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert len(found) > 50
    assert found - known == set()


def _shape(path: str) -> str:
    path = re.sub(r"\{\w+\}", "a", path.replace("a" * 32, "a"))
    return re.sub(r"^(/jobs/many|/nodes)/(a|cancel|cordon)$", r"\1/a", path)
