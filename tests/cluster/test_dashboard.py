"""A person at the web page, with a real browser, on a real queue."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
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
def site(q: tq.TaskQueue, tmp_path: Path) -> Iterator[str]:
    """The dashboard of that queue, served; its address."""
    options = WebOptions(
        operator_token=OPERATOR, viewer_token=VIEWER, audit_file=tmp_path / "audit.jsonl"
    )
    with served(q, options) as address:
        yield address


@pytest.fixture
def page(site: str) -> Iterator[Any]:
    """A page of a browser that nobody has used; whatever it complains of fails the test."""
    with browsing(site) as made:
        yield made


@needs_browser
def test_a_person_at_night(q: tq.TaskQueue, page: Any, tmp_path: Path) -> None:
    """Log in; see a job run live; find what failed, read it, retry it; pause a queue."""
    log_in(page, "not-the-token-at-all")
    page.get_by_text("That token is not known here").wait_for()
    log_in(page, OPERATOR)
    page.get_by_role("heading", name="Overview").wait_for()

    good = tmp_path / "now-it-works"
    evil = "<img src=x onerror=alert(1)>"
    jobs = [dashboard_jobs.opens.options(name=evil).enqueue(str(good)) for _ in range(3)]
    with q.workers(min=1, concurrency=2):
        for job in jobs:
            assert job.wait(60) == "failed"
        # The page has stayed open, and knows by itself.
        page.get_by_text("3 jobs have failed").wait_for()
        page.keyboard.press("g")
        page.keyboard.press("f")
        page.get_by_role("link", name="3", exact=True).click()
        page.get_by_text(evil).first.wait_for()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="FileNotFoundError").wait_for()
        assert "Traceback (most recent call last)" in page.locator("pre").first.inner_text()

        good.touch()
        page.goto("/failed")
        page.get_by_role("link", name="Retry group…").click()
        page.get_by_role("heading", name="Retry 3 jobs?").wait_for()
        page.get_by_role("button", name="Retry 3 jobs").click()
        page.get_by_text("3 jobs moved").wait_for()
        assert [q.handle(job.id).wait(60) for job in jobs] == ["completed"] * 3
        page.get_by_text("No dead letters").wait_for()

        running = dashboard_jobs.holds.enqueue(300)
        eventually(lambda: running.status() == "processing", "it runs", within=30)
        page.goto(f"/jobs/{running.id}")
        page.locator("h1 .state-processing").wait_for()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Yes").click()
        page.locator("h1 .state-cancelled").wait_for()

    page.goto("/queues")
    page.get_by_role("button", name="Pause default").click()
    page.get_by_text("paused").first.wait_for()
    assert [one.name for one in q.queues.paused()] == ["default"]
    page.goto("/actions")
    assert page.get_by_role("row").count() >= 4


@needs_browser
def test_a_phone_and_the_dark(page: Any) -> None:
    """Nothing sticks out of a narrow page; the menu opens; there is a dark theme to choose."""
    page.set_viewport_size({"width": 390, "height": 800})
    log_in(page, OPERATOR)
    page.get_by_role("heading", name="Overview").wait_for()
    for path in ("/", "/queues", "/jobs", "/failed", "/workers", "/schedules",
                 "/plan", "/nodes", "/limits", "/alerts", "/history", "/api"):  # fmt: skip
        page.goto(path)
        page.wait_for_function("document.readyState === 'complete'")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("heading", name="Jobs").wait_for()
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


@needs_browser
def test_a_schedule_from_a_phrase_and_an_alert(q: tq.TaskQueue, page: Any, tmp_path: Path) -> None:
    """Say when in words, see what that means, let it run; mute an alert that fires."""
    q.alerts.add("too-many", tq.Threshold("completed", ">", 0), for_=0)
    log_in(page, OPERATOR)
    page.get_by_role("heading", name="Overview").wait_for()
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.get_by_role("link", name="New schedule").click()
    page.get_by_label("When", exact=True).fill("biweekly")
    page.get_by_text("has two meanings").wait_for()
    page.get_by_role("link", name="every 2 weeks").click()
    page.locator(".meaning.right").get_by_text("every 2 weeks").first.wait_for()
    page.get_by_label("When", exact=True).fill("every 2 seconds")
    page.locator(".meaning.right").get_by_text("every 2 seconds").first.wait_for()
    page.get_by_label("Job type").fill(dashboard_jobs.opens.job_type.name)
    file = tmp_path / "there"
    file.write_text("x")
    page.get_by_label("Arguments, as JSON").fill(f'{{"path": "{file}"}}')
    page.get_by_label("Name of the schedule").fill("often")
    page.get_by_role("button", name="Schedule").click()
    page.get_by_role("heading", name="often").wait_for()
    with q.workers(min=1):
        page.locator(".state-completed").first.wait_for(timeout=60_000)  # by itself
        page.get_by_role("button", name="Pause").click()
        page.get_by_text("None while it is paused").wait_for()
        page.locator("#firing").wait_for(timeout=60_000)
        page.get_by_role("link", name="Alerts").click()
        page.get_by_role("button", name="Mute too-many for an hour").click()
        page.get_by_role("button", name="Unmute").wait_for()
    assert q.scheduler.get("often").state == "paused"
    assert q.alerts.firing()[0].muted_until is not None
    assert q.scheduler.delete("often")


@pytest.mark.slow
def test_the_command_serves_and_ends_on_a_signal(
    place: Place, q: tq.TaskQueue, monkeypatch: pytest.MonkeyPatch, shared_ray: str
) -> None:
    environment = os.environ | {
        "TASKQUEUE_STORAGE": str(place.folder), "TASKQUEUE_KEY_FILE": str(place.key_file),
        "RAY_ADDRESS": shared_ray,
    }  # fmt: skip
    program = "from taskqueue_ray.cli.app import main; raise SystemExit(main())"
    command = [sys.executable, "-c", program, "dashboard", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as served:
        assert served.stdout is not None
        said = ""
        while "dashboard: http" not in said:
            line = served.stdout.readline()
            assert line, said
            said += line
        address = said.split("dashboard: ")[1].strip()
        token = said.split("operator token: ")[1].split()[0]
        request = urllib.request.Request(
            f"{address}/api/v1/queues", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert b'"queues"' in answer.read()
        with q.workers(min=1):
            for client, said in _clients():
                done = subprocess.run(
                    client, env=environment | {"QUEUE_URL": address, "QUEUE_TOKEN": token},
                    capture_output=True, text=True, timeout=90,
                )  # fmt: skip
                assert said in done.stdout, done.stderr
        served.send_signal(signal.SIGTERM)
        assert served.wait(30) == 0


def _clients() -> list[tuple[list[str], str]]:
    """The examples for other languages, as far as these are here, and what each says."""
    folder = Path(__file__).parents[2] / "examples" / "rest"
    known = (("sh", "client.sh", "hello from curl"), ("node", "client.mjs", "from JavaScript"))
    found = [([shutil.which(by) or "", str(folder / file)], said) for by, file, said in known]
    return [(command, said) for command, said in found if command[0]]
