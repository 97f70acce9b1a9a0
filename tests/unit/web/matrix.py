"""Every method of every route, asked for in every way; what is wrong with the answers.

The routes come out of the application, so a new one is covered by itself. The rules of who gets in
are written here a second time, in a few lines, and share nothing with the door.
"""

import asyncio
import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

from fastapi.routing import iter_route_contexts

from taskqueue_ray.web.app import WebApp
from taskqueue_ray.web.sessions import COOKIE
from tests.inprocess import Bench
from tests.unit.web.conftest import OPERATOR, VIEWER

HOST = "testserver"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
HARMLESS = METHODS[:3]
HOSTS = (HOST, f"{HOST}:8080", "evil.example", f"{HOST}.evil.example", f"evil.example:{HOST}", "")
OURS = (None, f"http://{HOST}")
ORIGINS = (*OURS, "http://evil.example", "null", f"http://{HOST}.evil.example", "cross-site")
"""The last is no origin: a browser says that way that a page of elsewhere asks."""
FOR_ALL = ("/login", "/api/v1/health", "/static/page.css")


class Who(NamedTuple):
    """Somebody who asks: what they bring, and what that makes of them."""

    words: str
    headers: dict[str, str]
    role: str | None
    has_session: bool = False
    has_csrf: bool = False


class Case(NamedTuple):
    """One way to ask for something."""

    method: str
    path: str
    host: str
    origin: str | None
    who: Who

    @property
    def words(self) -> str:
        """It in a line."""
        return f"{self.method} {self.path} host={self.host} from={self.origin} {self.who.words}"


def paths_of(app: WebApp) -> list[str]:
    """All paths that the application has, and one that it has not; the end of a session last."""
    found = dict.fromkeys(
        re.sub(r"\{\w+\}", "a" * 32, str(context.path))
        for context in iter_route_contexts(app.routes.routes)
    )
    assert "/static" in found
    special = ("/static", "/logout")
    return [
        *(path for path in found if path not in special),
        "/static/page.css",
        "/nowhere",
        "/logout",
    ]


def people(app: WebApp) -> list[Who]:
    """Those who ask."""
    now = app.site.clock()
    begin = app.site.sessions.begin
    sessions = {"operator": begin("operator", now), "viewer": begin("viewer", now)}
    stale = begin("operator", now - app.site.options.session_seconds - 9.0)

    def by(cookie: str) -> dict[str, str]:
        return {"cookie": f"{COOKIE}={cookie}"}

    def with_csrf(cookie: str) -> dict[str, str]:
        principal = app.site.sessions.principal(cookie, now)
        assert principal is not None
        return {**by(cookie), "x-csrf-token": principal.csrf}

    forged = sessions["viewer"].replace("viewer", "operator")
    return [
        Who("nobody", {}, None),
        Who("a guess", {"authorization": "Bearer no-such-token"}, "a guess"),
        Who("a stale session", by(stale), None),
        Who("a forged session", by(forged), None),
        Who("an operator", {"authorization": f"Bearer {OPERATOR}"}, "operator"),
        Who("a viewer", {"authorization": f"Bearer {VIEWER}"}, "viewer"),
        Who("an operator's session", by(sessions["operator"]), "operator", True),
        Who("an operator's form", with_csrf(sessions["operator"]), "operator", True, True),
        Who("a viewer's form", with_csrf(sessions["viewer"]), "viewer", True, True),
    ]


def refusal(case: Case) -> int | None:
    """The status with which it must be refused; None: it must be let in."""
    acts = case.method not in HARMLESS
    if case.host not in (HOST, f"{HOST}:8080"):
        return 421
    if _is_foreign(case, acts):
        return 403
    if case.who.role == "a guess":
        return 401
    if case.who.role is None:
        is_page = not case.path.startswith(("/api/", "/live", "/metrics"))
        return None if case.path in FOR_ALL else 303 if is_page and not acts else 401
    if acts and case.who.role == "viewer" and case.path not in ("/login", "/logout"):
        return 403
    if acts and case.who.has_session and not case.who.has_csrf and case.path != "/login":
        return 403
    return None


def _is_foreign(case: Case, acts: bool) -> bool:
    if case.origin == "cross-site":
        return acts
    # Another port is another origin.
    return case.origin is not None and case.origin != f"http://{case.host}"


def cases(app: WebApp) -> Iterator[Case]:
    """All of them; those who ask for another host are two, since nobody else matters there."""
    everybody = people(app)
    few = [one for one in everybody if one.words in ("nobody", "an operator's form")]
    for path, method, host in product(paths_of(app), METHODS, HOSTS):
        for origin, who in product(ORIGINS, everybody if host == HOST else few):
            yield Case(method, path, host, origin, who)


def faults_of(app: WebApp, bench: Bench) -> list[str]:
    """What is answered otherwise than it should be. Who is refused costs the queue no question."""
    return asyncio.run(_faults(app, bench))


async def _faults(app: WebApp, bench: Bench) -> list[str]:
    found = []
    every = sorted(cases(app), key=lambda case: (case.method, case.path) == ("POST", "/logout"))
    bench.host.asked.clear()
    for case in every:
        if (status := refusal(case)) is not None:
            got = await _status(app, case)
            if got != status:
                found.append(f"{case.words}: {got}, not {status}")
    if bench.host.asked:
        found.append(f"refused, and yet the queue was asked: {sorted(set(bench.host.asked))}")
    for case in every:
        if refusal(case) is None and _is_worth_it(case):
            got = await _status(app, case)
            is_login = case.path == "/login"  # it says itself who may not come in
            if got >= 500 or got in (403, 421) or (got == 401 and not is_login):
                found.append(f"{case.words}: {got}, though it may")
    await app.site.poller.stop()
    return found


def _is_worth_it(case: Case) -> bool:
    """Each that is let in makes a page: not every way in needs to."""
    again = case.path == "/logout" and case.origin is not None  # their session has ended by then
    return case.host == HOST and case.origin in OURS and not again


async def _status(app: WebApp, case: Case) -> int:
    app.site.attempts.__init__()  # type: ignore[misc]  # these guesses are no attack
    headers = {"host": case.host, **case.who.headers}
    if case.origin == "cross-site":
        headers["sec-fetch-site"] = "cross-site"
    elif case.origin is not None:
        headers["origin"] = case.origin
    return await status_of(app, case.method, case.path, headers)


async def status_of(app: Any, method: str, path: str, headers: dict[str, str]) -> int:
    """Ask an ASGI application, and hang up at once: streams would never end."""
    asked = [{"type": "http.request", "body": b"", "more_body": False}]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return asked.pop() if asked else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(
        {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1", "method": method, "scheme": "http", "path": path,
            "raw_path": path.encode(), "root_path": "", "query_string": b"",
            "client": ("192.0.2.7", 50000), "server": (HOST, 80),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        },
        receive,
        send,
    )  # fmt: skip
    return statuses[0]
