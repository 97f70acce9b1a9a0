"""Hostile text in a real browser: nothing of it runs, and nothing of it even tries to."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from taskqueue_ray.web import WebOptions
from tests.browser import browsing, log_in, needs_browser, served
from tests.cluster.patience import eventually
from tests.inprocess import Bench
from tests.unit.web.hostile import enqueue_all
from tests.unit.web.test_pages import PAGES

TOKEN = "the-operator-of-tests"
WATCH = """
window.ran = [];
window.evil = (n) => window.ran.push(`evil(${n})`);
addEventListener("securitypolicyviolation", (one) => window.ran.push(one.violatedDirective));
"""
"""What a script would call if it ran, and what is heard when the browser has to stop one."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(time.time())
    yield made
    made.q.close()


@needs_browser
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_hundred_hostile_strings_run_nothing_in_a_browser(bench: Bench) -> None:
    ids = enqueue_all(bench)
    found: list[tuple[str, str]] = []
    with served(bench.q, WebOptions(operator_token=TOKEN)) as site, browsing(site) as page:
        page.context.add_init_script(WATCH)
        log_in(page, TOKEN)
        page.get_by_role("heading", name="Overview").wait_for()
        _visit(page, [f"/jobs/{id}" for id in ids], found)
        bench.fold()
        _visit(page, [*PAGES, "/jobs?state=failed", "/history?state=completed"], found)
        # What runs when it is planted is seen: else nothing found would mean nothing.
        page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=evil(0)>')"
        )
        eventually(lambda: page.evaluate("window.ran.length"), "the browser stops it", within=10)
    assert found == []


def _visit(page: Any, paths: list[str], found: list[tuple[str, str]]) -> None:
    for path in paths:
        page.goto(path)
        # A pointer passes over everything, as somebody's would.
        page.evaluate(
            "for (const one of document.querySelectorAll('*'))"
            " for (const kind of ['mouseover', 'focus']) one.dispatchEvent(new Event(kind))"
        )
        found.extend((path, ran) for ran in page.evaluate("window.ran"))
