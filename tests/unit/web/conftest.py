"""The application on a queue in this process, and somebody who visits it."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from taskqueue_ray.web import WebOptions, create_app
from taskqueue_ray.web.app import WebApp
from tests.inprocess import Bench
from tests.unit.sdk import jobs_for_tests as jobs

OPERATOR, VIEWER = "the-operator-of-tests", "the-viewer-of-tests"
assert jobs  # its types are registered: what a server imports as its application


class Clock:
    """Goes on with the world, and ahead of it when a test says so."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Visitor:
    """A browser or a program, as far as HTTP goes."""

    def __init__(self, app: WebApp, client: TestClient) -> None:
        self.app = app
        self.client = client

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, follow_redirects=False, **more)

    def post(self, path: str, **fields: Any) -> Any:
        """Send a form, with the token of the page that it would be on."""
        csrf = self.csrf()
        data = {"csrf": csrf, **fields}
        return self.client.post(path, data=data, follow_redirects=False)

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]*)"', self.client.get("/queues/mail").text)
        return found.group(1) if found else ""

    def log_in(self, token: str, **fields: str) -> Any:
        return self.client.post("/login", data={"token": token, **fields}, follow_redirects=False)


class Api:
    """A program with a token."""

    def __init__(self, client: TestClient, token: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, json: Any = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {} if json is None else {"json": json}
        return self._client.request(
            method, f"/api/v1{path}", headers={**self._headers, **named}, **body
        )


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(time.time())
    yield made
    made.q.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def options(tmp_path: Path) -> WebOptions:
    return WebOptions(
        operator_token=OPERATOR,
        viewer_token=VIEWER,
        hosts=("testserver",),
        audit_file=tmp_path / "audit.jsonl",
    )


Opened = Callable[..., Visitor]


@pytest.fixture
def opened(bench: Bench, clock: Clock) -> Iterator[Opened]:
    """Opens the application with options of its own."""
    clients: list[TestClient] = []

    def make(options: WebOptions, **more: Any) -> Visitor:
        app = create_app(bench.q, options, clock)
        client = TestClient(app, client=("192.0.2.7", 50000), **more)
        client.__enter__()
        clients.append(client)
        return Visitor(app, client)

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def stranger(opened: Opened, options: WebOptions) -> Visitor:
    """Nobody that is known."""
    return opened(options)


@pytest.fixture
def operator(stranger: Visitor) -> Visitor:
    """Somebody who has logged in and may act."""
    assert stranger.log_in(OPERATOR).status_code == 303
    return stranger


@pytest.fixture
def api(stranger: Visitor) -> Api:
    """A program that may act."""
    return Api(stranger.client, OPERATOR)
