"""The matrix of method, route, host, origin and visitor; and that it sees what it is there for."""

import re
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send

from taskqueue_ray.web import create_app, guard, sessions
from taskqueue_ray.web.app import WebApp
from taskqueue_ray.web.options import WebOptions
from tests.inprocess import Bench
from tests.unit.web import matrix
from tests.unit.web.conftest import Clock


@pytest.fixture
def app(bench: Bench, clock: Clock, options: WebOptions) -> WebApp:
    return create_app(bench.q, options, clock)


def test_every_route_is_behind_the_door(app: WebApp, bench: Bench) -> None:
    assert len(matrix.paths_of(app)) > 45
    assert matrix.faults_of(app, bench) == []


# --- planted faults ------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def _a_page_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "FOR_ALL", (*guard.FOR_ALL, "/api/v1/jobs"))


def _a_route_before_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    through = WebApp.__call__

    async def call(self: WebApp, scope: Scope, receive: Receive, send: Send) -> None:
        if re.fullmatch(r"/queues/\w+/pause", scope["path"]):
            scope["state"] = {"principal": sessions.Principal("operator")}
            await self.routes(scope, receive, send)
        else:
            await through(self, scope, receive, send)

    monkeypatch.setattr(WebApp, "__call__", call)


def _forms_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard._Visit, "has_csrf", lambda *_: True)


def _pages_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard._Visit, "is_same_site", lambda *_: True)


def _viewers_who_act(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.Principal, "may_act", True)


@pytest.mark.parametrize(
    ("plant", "where", "word"),
    [
        (_a_page_for_all, "/api/v1/jobs", "nobody"),
        (_a_route_before_the_door, f"/queues/{'a' * 32}/pause", "nobody"),
        (_forms_of_anybody, f"/jobs/{'a' * 32}/delete", "an operator's session"),
        (_pages_of_anybody, "/jobs", "evil.example"),
        (_viewers_who_act, "/jobs/selected", "a viewer"),
    ],
)
def test_a_planted_fault_is_found(
    app: WebApp, bench: Bench, monkeypatch: pytest.MonkeyPatch, plant: Plant, where: str, word: str
) -> None:
    monkeypatch.setattr(matrix, "paths_of", lambda _: [where])
    assert matrix.faults_of(app, bench) == []
    plant(monkeypatch)
    assert any(word in fault for fault in matrix.faults_of(app, bench))
