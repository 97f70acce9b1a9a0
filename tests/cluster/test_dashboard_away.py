"""The web page by keyboard alone, for those who may only look, and when the queue goes away."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import taskqueue_ray as tq
from taskqueue_ray.web import WebOptions
from tests.browser import browsing, log_in, needs_browser, served
from tests.cluster import dashboard_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place

OPERATOR, VIEWER = "the-operator-of-tests", "the-viewer-of-tests"


@pytest.fixture
def q(place: Place) -> tq.TaskQueue:
    return place.connect()


@pytest.fixture
def page(q: tq.TaskQueue, tmp_path: Path) -> Iterator[Any]:
    options = WebOptions(
        operator_token=OPERATOR, viewer_token=VIEWER, audit_file=tmp_path / "audit.jsonl",
        patience=2.0,
    )  # fmt: skip
    with served(q, options) as site, browsing(site) as made:
        yield made


def _focused(page: Any) -> str:
    one = page.locator("a:focus, button:focus, input:focus, summary:focus")
    return str(one.evaluate("one => one.innerText || one.name")) if one.count() else ""


def _tab_to(page: Any, words: str) -> None:
    """Go on with Tab as long as it takes; nobody presses it more often."""
    for _ in range(60):
        if words in _focused(page):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {words!r}, but to {_focused(page)!r}")


@needs_browser
def test_by_keyboard_alone(q: tq.TaskQueue, page: Any, tmp_path: Path) -> None:
    """Log in, look for a job, cancel it, pause a queue, log out; no hand on the mouse."""
    jobs = [dashboard_jobs.holds.options(delay=3600, name=f"n{n}").enqueue(1) for n in range(3)]
    page.goto("/")
    page.get_by_label("Token").wait_for()
    _tab_to(page, "token")
    page.keyboard.type(OPERATOR)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Overview").wait_for()
    # The first Tab of a page leads past the menu.
    page.keyboard.press("Tab")
    assert _focused(page) == "Skip to content"
    page.keyboard.press("Enter")

    page.keyboard.press("?")
    page.get_by_role("heading", name="Keyboard").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.get_by_role("heading", name="Jobs").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_text("2 ticked").wait_for()
    # What comes to the list meanwhile takes neither the ticks nor the focus away.
    at = page.evaluate("document.activeElement.closest('tr').dataset.key")
    late = dashboard_jobs.holds.options(delay=3600, name="late").enqueue(1)
    page.locator(f"tr[data-key='{late.id}']").wait_for()
    assert page.evaluate("document.activeElement.closest('tr').dataset.key") == at
    page.get_by_text("2 ticked").wait_for()

    _tab_to(page, "Cancel")
    page.keyboard.press("Enter")
    _tab_to(page, "Yes")
    page.keyboard.press("Enter")
    page.get_by_text("2 of 2 jobs moved").wait_for()
    assert sorted(q.handle(job.id).status() for job in jobs) == [
        "cancelled", "cancelled", "scheduled",
    ]  # fmt: skip

    page.keyboard.press("g")
    page.keyboard.press("q")
    page.get_by_role("heading", name="Queues").wait_for()
    _tab_to(page, "Pause")
    page.keyboard.press("Enter")
    page.get_by_text("no job of it starts").wait_for()
    assert [one.name for one in q.queues.paused()] == ["default"]
    _tab_to(page, "Log out")
    page.keyboard.press("Enter")
    page.get_by_label("Token").wait_for()


@needs_browser
def test_whoever_may_only_look(q: tq.TaskQueue, page: Any) -> None:
    """They see the job, and no switch; what they send all the same is refused."""
    job = dashboard_jobs.holds.options(delay=3600).enqueue(1)
    log_in(page, VIEWER)
    page.get_by_role("heading", name="Overview").wait_for()
    page.goto(f"/jobs/{job.id}")
    page.locator("h1 .state-scheduled").wait_for()
    assert page.get_by_role("button", name="Cancel").count() == 0
    sent = page.evaluate(
        """async (id) => (await fetch(`/jobs/${id}/cancel`, {method: "POST", body:
        new URLSearchParams({csrf: document.querySelector("[name=csrf]").value})})).status""",
        job.id,
    )
    assert sent == 403
    assert job.status() == "scheduled"


@needs_browser
def test_the_queue_goes_away_and_comes_back(q: tq.TaskQueue, place: Place, page: Any) -> None:
    """The page says that it does not answer, and is current again without a hand."""
    job = dashboard_jobs.holds.options(delay=3600, name="before").enqueue(1)
    log_in(page, OPERATOR)
    page.get_by_role("heading", name="Overview").wait_for()
    page.goto("/jobs")
    page.locator(f"tr[data-key='{job.id}']").wait_for()

    pid = place.ping().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        page.get_by_text("no answer").wait_for()
        page.goto("/queues")
        page.get_by_text("The queue does not answer.").wait_for()
        assert (
            page.get_by_role("cell", name="default")
            .or_(page.get_by_role("rowheader", name="default"))
            .count()
        )  # what was known is still shown, and how old it is
        page.get_by_text("What is shown is of").wait_for()
        page.goto("/jobs")
        page.get_by_text("as soon as the queue answers").wait_for()
    finally:
        os.kill(pid, signal.SIGKILL)
    page.locator(f"tr[data-key='{job.id}']").wait_for(timeout=60_000)
    page.get_by_text("live").first.wait_for()
    assert eventually(lambda: place.ping().pid, "it is back") != pid
