"""The web application served, and a real browser that looks at it."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.web.options import WebOptions
from taskqueue_ray.web.serving import Reach, Server, server_of

_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, _NAMES)), None)
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium is installed (apt-get install chromium); .ci/run does so"
)


@contextmanager
def served(queue: TaskQueue, options: WebOptions) -> Iterator[str]:
    """The dashboard of that queue; its address."""
    listening = threading.Event()
    ports: list[int] = []

    def ready(port: int) -> None:
        ports.append(port)
        listening.set()

    server: Server = server_of(queue, options, Reach(port=0), ready)
    thread = threading.Thread(target=server.run, name="dashboard")
    thread.start()
    try:
        assert listening.wait(30.0)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        server.should_exit = True
        thread.join(20.0)
    assert not thread.is_alive()


@contextmanager
def browsing(site: str, **options: Any) -> Iterator[Any]:
    """A page of a browser that nobody has used; whatever it complains of fails the test."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=list(_FLAGS))
        context = browser.new_context(base_url=site, **options)
        page = context.new_page()
        page.set_default_timeout(20_000)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
        try:
            yield page
        finally:
            context.close()
            browser.close()
    assert complaints == []


def log_in(page: Any, token: str) -> None:
    """As a person does."""
    page.goto("/")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
