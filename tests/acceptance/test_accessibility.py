"""The pages as those meet them who use a screen reader, a keyboard, or need contrast: axe looks."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskqueue_ray.web import WebOptions
from tests.browser import browsing, log_in, needs_browser, served
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import break_down, flaky, send

OPERATOR = "the-operator-of-tests"
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
SERIOUS = ("serious", "critical")


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(time.time())
    yield made
    made.q.close()


@pytest.fixture
def paths(bench: Bench) -> list[str]:
    """Every page, on a queue where each has something to show."""
    dead = break_down.options(name="a report", tags=["nightly"], category="ann").enqueue("x").id
    _ = flaky.enqueue(2)
    with bench.q.workflow("nightly") as flow:
        first = flow.add(send, "x")
        _ = flow.add(break_down, first)
    bench.work()
    bench.fold()
    waiting = send.options(delay=3600).enqueue("y").id
    bench.q.pause("mail")
    from taskqueue_ray.web.pages.rendering import menu

    jobs = [f"/jobs/{dead}", f"/jobs/{waiting}", f"/workflows/{flow.id}", "/queues/mail"]
    return [*(entry.path for entry in menu), *jobs, "/jobs/many/redrive", "/nowhere"]


@pytest.fixture
def page(bench: Bench, tmp_path: Path) -> Iterator[Any]:
    options = WebOptions(operator_token=OPERATOR, audit_file=tmp_path / "audit.jsonl")
    with served(bench.q, options) as site, browsing(site) as made:
        yield made


@needs_browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "few", [pytest.param(True, id="some"), pytest.param(False, id="all", marks=pytest.mark.slow)]
)
def test_axe_finds_nothing_serious(page: Any, paths: list[str], few: bool) -> None:
    """On any page, light and dark, wide and narrow."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    found: list[str] = []

    def look(how: str, rules: Any = None) -> None:
        results = axe.run(page, options=rules).response
        found.extend(
            f"{page.url} {how}: {one['id']} {node['html'][:200]} {node['failureSummary']}"
            for one in results["violations"]
            if one["impact"] in SERIOUS
            for node in one["nodes"][:3]
        )

    page.goto("/login")
    look("light")
    log_in(page, OPERATOR)
    page.get_by_role("heading", name="Overview").wait_for()
    some = [path for path in paths if path in ("/", "/jobs", "/api")]
    for path in some if few else paths:
        page.emulate_media(color_scheme="light")
        page.goto(path)
        look("light")
        page.emulate_media(color_scheme="dark")
        look("dark", COLOURS)
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/jobs")
    look("narrow")
    assert not found, "\n".join(found)
