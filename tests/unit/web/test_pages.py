"""What a person finds on the pages, and does there."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.web.audit import Audit
from taskqueue_ray.web.graph import draw
from taskqueue_ray.web.live import Poller
from taskqueue_ray.web.options import WebOptions
from taskqueue_ray.web.pages.job import Step, with_waits
from taskqueue_ray.web.tokens import tokens_of
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import break_down, flaky, send
from tests.unit.web.conftest import OPERATOR, VIEWER, Visitor

PAGES = (
    "/", "/queues", "/queues/mail", "/jobs", "/failed", "/workflows", "/schedules", "/plan",
    "/workers", "/nodes", "/limits", "/alerts", "/alerts/queue_depth", "/history",
    "/actions", "/api",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_queue_has_sensible_pages(operator: Visitor, path: str) -> None:
    page = operator.get(path)
    assert page.status_code == 200
    assert page.text.count("<h1") == 1
    assert 'aria-current="page"' in page.text


def test_what_needs_somebody_is_on_the_front_page(operator: Visitor, bench: Bench) -> None:
    _ = break_down.enqueue("x")
    bench.work()
    _ = send.enqueue("x")
    bench.q.pause("mail")
    operator.app.site.poller.look_again()
    page = operator.get("/").text
    assert "1 jobs have failed" in page
    assert "the queue mail is paused" in page


def test_a_failed_job_is_found_read_and_retried(operator: Visitor, bench: Bench) -> None:
    id = break_down.enqueue("no such file").id
    _ = break_down.enqueue("another")
    bench.work()
    groups = operator.get("/failed").text
    assert "ValueError" in groups
    found = operator.get("/jobs?state=failed&text=such").text
    assert (id in found, found.count("data-key")) == (True, 1)
    page = operator.get(f"/jobs/{id}").text
    for words in ("no such file", "Traceback", "no attempt is left", "attempt 1"):
        assert words in page
    sent = operator.post(f"/jobs/{id}/redrive", priority="50")
    assert sent.headers["location"] == f"/jobs/{id}"
    assert "it runs again" in operator.get(f"/jobs/{id}").text
    assert bench.q.job(id).priority == 50


def test_many_are_counted_before_they_move(operator: Visitor, bench: Bench) -> None:
    for n in range(3):
        _ = break_down.enqueue(f"x{n}")
    bench.work()
    path = "/jobs/many/redrive?queue=default&error=ValueError"
    assert "Retry 3 jobs?" in operator.get(path).text
    assert bench.q.stats("default").failed == 3
    done = operator.post("/jobs/many/redrive", queue="default", error="ValueError", back="/failed")
    assert done.headers["location"] == "/failed"
    assert "3 jobs moved" in operator.get("/failed").text
    assert bench.q.stats("default").pending == 3
    assert operator.get("/jobs/many/drop").status_code == 400
    assert operator.get("/jobs/many/cancel?text=x").status_code == 400


def test_ticked_jobs_are_cancelled(operator: Visitor, bench: Bench) -> None:
    ids = [send.enqueue(str(n)).id for n in range(3)]
    operator.post("/jobs/selected", verb="cancel", id=ids[:2], back="/jobs?queue=mail")
    assert bench.q.stats("mail").cancelled == 2
    assert operator.post("/jobs/selected", verb="explode", id=ids).status_code == 400


def test_pages_turn(operator: Visitor) -> None:
    for n in range(60):
        _ = send.enqueue(str(n))
    page = operator.get("/jobs?queue=mail").text
    assert page.count("data-key") == 50
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following is not None
    second = operator.get(following.group(1).replace("&amp;", "&")).text
    assert second.count("data-key") == 10


def test_a_queue_is_set_and_purged_once_its_name_was_typed(operator: Visitor, bench: Bench) -> None:
    _ = send.enqueue("x")
    bench.work()
    operator.post("/queues/mail/settings", max_depth="1,000", weights="gold=3, free=0.5")
    settings = bench.q.queues.settings("mail")
    assert (settings.max_depth, settings.weights) == (1000, {"gold": 3.0, "free": 0.5})
    assert operator.post("/queues/mail/settings", max_depth="many").status_code == 400
    purge = {"state": "completed", "older_than": "0"}
    assert operator.post("/queues/mail/purge", **purge, confirm="male").status_code == 400
    assert bench.q.stats("mail").completed == 1
    assert operator.post("/queues/mail/purge", **purge, confirm="mail").status_code == 303
    assert bench.q.stats("mail").completed == 0


def test_why_a_job_waits_and_what_it_depends_on(operator: Visitor, bench: Bench) -> None:
    first = send.options(delay=600).enqueue("x")
    second = send.options(depends_on=[first]).enqueue("y")
    assert "its time comes" in operator.get(f"/jobs/{first.id}").text
    page = operator.get(f"/jobs/{second.id}").text
    assert "waits for 1 of its 1 parents" in page
    assert first.id in page


def test_a_timeline_has_runs_and_waits(operator: Visitor, bench: Bench) -> None:
    id = flaky.enqueue(2).id
    bench.work()
    bench.advance(11)
    bench.work()
    page = operator.get(f"/jobs/{id}").text
    assert "Earlier errors" in page
    assert "ValueError: attempt 1" in page
    assert page.index("step-enqueued") < page.index("step-failed") < page.index("step-completed")


def test_what_lies_between_two_steps_is_waiting() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    run = Step(at + timedelta(seconds=5), 2.0, "failed", "attempt 1")
    again = Step(at + timedelta(seconds=17), 1.0, "completed", "attempt 2")
    end = Step(at + timedelta(seconds=18), None, "completed", "completed")
    steps = with_waits([Step(at, None, "enqueued", "enqueued"), run, again, end])
    assert [(step.words, step.seconds) for step in steps if step.kind == "waiting"] == [
        ("waited", 5.0), ("waited", 10.0),
    ]  # fmt: skip


def test_a_workflow_is_drawn_with_its_states(operator: Visitor, bench: Bench) -> None:
    with bench.q.workflow("nightly") as flow:
        first = flow.add(send, "x")
        _ = flow.add(break_down, first)
    bench.work()
    assert flow.id in operator.get("/workflows").text
    page = operator.get(f"/workflows/{flow.id}").text
    assert "box-completed" in page
    assert "box-failed" in page
    assert page.count('class="edge done"') == 1
    bench.fold()
    operator.app.site.memory.forget()
    assert "box-completed" in operator.get(f"/workflows/{flow.id}").text
    assert operator.get("/workflows/none:0").status_code == 404


def test_children_are_to_the_right_of_their_parents(bench: Bench) -> None:
    a = send.enqueue("a")
    b = send.options(depends_on=[a]).enqueue("b")
    c = send.options(depends_on=[a, b]).enqueue("c")
    boxes = {box.ids[0]: box for box in draw(list(bench.q.jobs())).boxes}
    assert boxes[a.id].x < boxes[b.id].x < boxes[c.id].x


def test_many_alike_are_one_box(bench: Bench) -> None:
    top = send.enqueue("top")
    for n in range(60):
        _ = send.options(depends_on=[top], queue="default").enqueue(str(n))
    picture = draw(list(bench.q.jobs()))
    assert sorted(len(box.ids) for box in picture.boxes) == [1, 60]
    assert len(picture.lines) == 1


def test_a_viewer_sees_no_switches_and_may_not_use_them(stranger: Visitor, bench: Bench) -> None:
    stranger.log_in(VIEWER)
    id = break_down.enqueue("x").id
    bench.work()
    for path in (*PAGES, f"/jobs/{id}", "/jobs/many/redrive"):
        page = stranger.get(path)
        assert page.status_code == 200
        forms = re.findall(r'<form method="post" action="([^"]+)"', page.text)
        assert set(forms) <= {"/logout", "/jobs/selected"}
        assert ">Retry</button>" not in page.text
    assert stranger.post(f"/jobs/{id}/redrive").status_code == 403


def test_a_server_without_the_key_says_that_it_is_sealed(bench: Bench) -> None:
    from starlette.testclient import TestClient

    from taskqueue_ray.web import create_app

    id = send.enqueue("secret words").id
    other = TaskQueue(
        bench.transport, Sealer(Keyring([Key(b"x" * 32)])), location="here", is_current=False
    )
    app = create_app(other, WebOptions(operator_token=OPERATOR, hosts=("testserver",)))
    with TestClient(app) as client:
        page = client.get(f"/jobs/{id}", headers={"authorization": f"Bearer {OPERATOR}"}).text
    assert "secret words" not in page
    assert "sealed with key" in page
    other.close()


# --- the queue is away ------------------------------------------------------------------------


def test_pages_say_that_the_queue_is_away_and_recover(
    operator: Visitor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = send.enqueue("x")
    assert "mail" in operator.get("/queues").text
    poller = operator.app.site.poller
    with monkeypatch.context() as away:

        def refuse(*_: object) -> bytes:
            raise Unavailable("its actor restarts")

        away.setattr(bench.transport, "call", refuse)
        poller.look_again()
        page = operator.get("/queues")
        assert page.status_code == 200
        assert "The queue does not answer" in page.text
        assert "mail" in page.text  # what was known is still shown
        listed = operator.get("/jobs")
        assert listed.status_code == 503
        assert "its actor restarts" in listed.text
        assert 'data-live="yes"' in listed.text
        assert operator.get("/api/v1/health").status_code == 503
        assert operator.get("/api/v1/jobs").headers["retry-after"] == "2"
    poller.look_again()
    assert "does not answer" not in operator.get("/queues").text
    assert operator.get("/jobs").status_code == 200
    assert operator.get("/api/v1/health").status_code == 200


# --- one poll for all -------------------------------------------------------------------------


def test_fifty_streams_cost_one_poll(bench: Bench) -> None:
    import asyncio

    async def trial() -> tuple[list[bytes], list[str]]:
        poller = Poller(bench.q, time.time)
        await poller.attend()
        streams = [poller.stream() for _ in range(50)]
        for stream in streams:
            await anext(stream)  # the line that says when to come back
            await anext(stream)
        bench.host.asked.clear()
        heard = await asyncio.gather(*(anext(stream) for stream in streams))
        asked = list(bench.host.asked)
        assert poller.streams == 50
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]  # of a generator
        assert poller.streams == 0
        await poller.stop()
        return heard, asked

    heard, asked = asyncio.run(trial())
    assert all(b"event: tick" in one for one in heard)
    assert len(asked) <= 6  # three questions a look, and time for two looks


def test_fifty_pages_ask_the_queue_once(operator: Visitor, bench: Bench) -> None:
    _ = send.enqueue("x")
    operator.get("/jobs")
    bench.host.asked.clear()
    for _ in range(50):
        assert operator.get("/jobs").status_code == 200
    assert bench.host.asked.count("jobs") <= 2


# --- tokens and the record --------------------------------------------------------------------


def test_tokens_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "inner" / "tokens"
    first, again = tokens_of(path), tokens_of(path)
    assert (first.made, again.made) == (True, False)
    assert first[:2] == again[:2]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["tokens"]
    path.chmod(0o644)
    with pytest.raises(Exception, match="can be read by others"):
        tokens_of(path)


def test_the_record_of_actions_is_kept_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    Audit(path).record(1e9, "operator", "::1", "pause", "queue\nx", "done")
    with path.open("a") as file:
        file.write("{not whole\n")
    (action,) = Audit(path).latest()
    assert (action.verb, action.target) == ("pause", "queue\nx")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 2
