"""`/api/v1`: what programs in other languages can do, and what they are told."""

import base64
import io
import threading

import pyarrow.parquet as pq
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core import errors
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.sdk.ids import new_id
from taskqueue_ray.web.problems import STATUS, problem_of, status_of
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import break_down, send
from tests.unit.web.conftest import Api, Visitor

SEND, BREAK = send.job_type.name, break_down.job_type.name


def test_a_job_goes_out_and_its_result_is_waited_for(api: Api, bench: Bench) -> None:
    made = api("POST", "/jobs", {"type": SEND, "args": ["ann"], "kwargs": {"subject": "hi"}})
    assert made.status_code == 201
    id = made.json()["id"]
    assert made.headers["location"] == f"/api/v1/jobs/{id}"
    waiting = api("GET", f"/jobs/{id}/result")
    assert (waiting.status_code, waiting.json()["state"]) == (202, "pending")
    threading.Timer(0.2, bench.work).start()
    ended = api("GET", f"/jobs/{id}/result?wait=20")
    assert ended.status_code == 200
    assert ended.json()["result"] == "ann: hi"
    assert bench.q.job(id).arguments == {"to": "ann", "subject": "hi"}


def test_a_long_poll_ends_when_it_was_asked_to(api: Api) -> None:
    id = send.enqueue("x").id
    assert api("GET", f"/jobs/{id}/result?wait=0.05").status_code == 202


def test_how_a_job_failed_is_told(api: Api, bench: Bench) -> None:
    id = break_down.enqueue("no such file").id
    bench.work()
    told = api("GET", f"/jobs/{id}/result").json()
    assert (told["state"], told["reason"]) == ("failed", "attempts")
    assert told["error"]["error_type"] == "ValueError"
    assert told["error"]["message"] == "no such file"


def test_the_same_id_again_is_the_same_job(api: Api, bench: Bench) -> None:
    body = {"type": SEND, "args": ["x"], "id": new_id(), "priority": 90, "tags": ["a"]}
    assert [api("POST", "/jobs", body).json()["id"] for _ in range(3)] == [body["id"]] * 3
    assert bench.q.stats("mail").total == 1
    assert bench.q.job(str(body["id"])).priority == 90


def test_many_at_once_and_a_unique_one(api: Api, bench: Bench) -> None:
    jobs = [{"type": SEND, "args": [str(n)], "unique": "k" if n < 2 else None} for n in range(4)]
    made = api("POST", "/jobs/many", {"jobs": jobs})
    assert made.status_code == 201
    assert [one["duplicate"] for one in made.json()["jobs"]] == [False, True, False, False]
    assert bench.q.stats("mail").total == 3


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"type": "no.such"}, 400, "no job type"),
        ({"type": SEND}, 400, "to"),
        ({"type": SEND, "args": [["x"]]}, 400, "to"),
        ({"type": SEND, "args": ["x"], "queue": "../x"}, 400, "queue"),
        ({"type": SEND, "args": ["x"], "delay": "soon"}, 400, "delay"),
        ({"type": SEND, "args": ["x"], "at": "2030-01-01T00:00:00"}, 400, "at"),
        ({"type": SEND, "args": ["x"], "priority": 101}, 422, "priority"),
        ({"type": SEND, "args": ["x"], "id": "mine"}, 422, "id"),
        ({"type": SEND, "args": ["x"], "colour": "red"}, 422, "colour"),
        ({"type": SEND, "args": ["x"], "depends_on": [new_id()]}, 400, "parent"),
        ([], 422, "body"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(
    api: Api, bench: Bench, body: object, status: int, word: str
) -> None:
    refused = api("POST", "/jobs", body)
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert (refused.status_code, problem["status"]) == (status, status)
    assert word in problem["detail"]
    assert problem["type"].startswith("urn:taskqueue-ray:")
    assert bench.q.stats().total == 0


def test_every_error_is_a_problem() -> None:
    kinds = [getattr(errors, name) for name in dir(errors) if name[0].isupper()]
    kinds = [one for one in kinds if isinstance(one, type) and issubclass(one, TaskQueueError)]
    assert all(any(issubclass(one, kind) for kind, _ in STATUS) for one in kinds)
    assert status_of(errors.JobNotFound("x")) == 404
    assert status_of(errors.Recovering("x")) == 503
    assert problem_of(errors.QueueFull("mail", 3)).headers["retry-after"]


def test_lists_turn_pages_that_hold(api: Api) -> None:
    ids = [send.enqueue(str(n)).id for n in range(7)]
    seen, path = [], "/jobs?queue=mail&limit=3"
    for _ in range(9):
        page = api("GET", path).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["cursor"] is None:
            break
        _ = send.enqueue("later")
        path = f"/jobs?queue=mail&limit=3&cursor={page['cursor']}"
    assert seen[:7] == ids
    assert len(set(seen)) == len(seen)
    assert api("GET", "/jobs?cursor=zzz").status_code == 400
    assert api("GET", "/jobs?limit=501").status_code == 422
    assert api("GET", "/jobs?state=asleep").status_code == 422


def test_who_has_a_job_already_is_told_so(api: Api, bench: Bench) -> None:
    id = send.enqueue("x").id
    tag = api("GET", f"/jobs/{id}").headers["etag"]
    assert api("GET", f"/jobs/{id}", if_none_match=tag).status_code == 304
    bench.work()
    fresh = api("GET", f"/jobs/{id}", if_none_match=tag)
    assert fresh.json()["state"] == "completed"
    assert fresh.json()["arguments"]["to"] == "x"


def test_jobs_are_cancelled_redriven_and_deleted(api: Api, bench: Bench) -> None:
    first, second = send.enqueue("x").id, break_down.enqueue("x").id
    assert api("POST", f"/jobs/{first}/cancel", {"reason": "not needed"}).json()["count"] == 1
    assert api("POST", f"/jobs/{first}/cancel").json()["count"] == 0
    bench.work()
    moved = api("POST", f"/jobs/{second}/redrive", {"priority": 77}).json()
    assert moved["ids"] == [second]
    assert bench.q.job(second).priority == 77
    assert api("DELETE", f"/jobs/{second}").status_code == 409
    assert api("DELETE", f"/jobs/{first}").status_code == 204
    assert api("GET", f"/jobs/{first}").status_code == 404
    assert api("GET", f"/jobs/{second}/why").json()["reason"] in ("turn", "no_workers")


def test_many_are_moved_by_filter_after_a_dry_run(api: Api, bench: Bench) -> None:
    for n in range(3):
        _ = break_down.enqueue(f"x{n}")
    _ = send.options(delay=60).enqueue("later")
    bench.work()
    body = {"filter": {"error": "ValueError", "text": "x1"}, "dry_run": True}
    assert api("POST", "/jobs/redrive", body).json()["count"] == 1
    assert bench.q.stats("default").failed == 3
    assert api("POST", "/jobs/redrive", {"filter": {"error": "ValueError"}}).json()["count"] == 3
    assert api("POST", "/jobs/cancel", {"filter": {"queue": "mail"}}).json()["count"] == 1
    assert api("POST", "/jobs/cancel", {"filter": {"state": "completed"}}).status_code == 400


def test_queues_are_seen_paused_set_and_purged(api: Api, bench: Bench) -> None:
    _ = send.enqueue("x")
    bench.work()
    assert api("POST", "/queues/mail/pause").json() == {"changed": True}
    assert api("GET", "/queues/mail").json()["paused"] is True
    assert api("POST", "/queues/mail/resume").json() == {"changed": True}
    (mail,) = api("GET", "/queues").json()["queues"]
    assert (mail["queue"], mail["counts"]["completed"], mail["paused"]) == ("mail", 1, False)
    assert api("PATCH", "/queues/mail", {"max_depth": 5}).json()["max_depth"] == 5
    api("PATCH", "/queues/mail", {"weights": {"gold": 2}})
    assert bench.q.queues.settings("mail").max_depth == 5
    assert api("PATCH", "/queues/mail", {"max_depth": -1}).status_code == 400
    assert api("POST", "/queues/mail/purge", {"state": "pending"}).status_code == 400
    assert api("POST", "/queues/mail/purge", {"state": "completed"}).json()["count"] == 1


def test_workers_workflows_and_failures(api: Api, bench: Bench) -> None:
    with bench.q.workflow("nightly") as flow:
        _ = flow.add(send, "x")
    _ = break_down.enqueue("x")
    bench.work()
    assert api("GET", "/workers").json()["workers"][0]["worker"] == "worker"
    assert api("GET", "/workflows").json()["workflows"][0]["id"] == flow.id
    assert api("GET", f"/workflows/{flow.id}").json()["counts"] == {"completed": 1}
    (group,) = api("GET", "/failures").json()["groups"]
    assert (group["error_type"], group["count"]) == ("ValueError", 1)
    assert SEND in api("GET", "/types").json()["types"]


def test_the_history_is_searched_and_taken_away(api: Api, bench: Bench) -> None:
    _ = send.options(name="=1+1", tags=["a", "b"]).enqueue("x")
    bench.work()
    bench.fold()
    (row,) = api("GET", "/history?state=completed").json()["jobs"]
    assert row["queue"] == "mail"
    text = api("GET", "/history/export?since=1d").text
    assert "'=1+1" in text  # a spreadsheet must not run it
    assert "a b" in text
    table = pq.read_table(io.BytesIO(api("GET", "/history/export?format=parquet").content))
    assert table.num_rows == 1
    assert api("GET", "/history/export?format=xls").status_code == 422


def test_values_that_json_does_not_know(api: Api, bench: Bench) -> None:
    @tq.job(type="odd_result")
    def odd() -> dict[str, object]:
        return {"raw": b"\x00\xff", "nothing": float("nan")}

    id = odd.enqueue().id
    bench.work()
    told = api("GET", f"/jobs/{id}/result").json()["result"]
    assert base64.b64decode(told["raw"]) == b"\x00\xff"
    assert told["nothing"] is None


def test_metrics_and_health(stranger: Visitor, api: Api) -> None:
    _ = send.enqueue("x")
    assert stranger.get("/api/v1/health").json() == {"status": "ok"}
    assert stranger.get("/metrics").status_code == 401
    token = {"authorization": api._headers["authorization"]}
    lines = stranger.get("/metrics", headers=token).text.splitlines()
    assert "taskqueue_up 1" in lines


def test_the_description_names_all_and_says_what_needs_a_token(api: Api) -> None:
    told = api("GET", "/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert told["security"] == [{"token": []}]
    assert told["paths"]["/api/v1/health"]["get"]["security"] == []
    ids = [one["operationId"] for path in told["paths"].values() for one in path.values()]
    assert len(set(ids)) == len(ids)
    assert all("4XX" in one["responses"] for path in told["paths"].values()
               for one in path.values())  # fmt: skip


def test_what_was_done_is_written_down(stranger: Visitor, api: Api) -> None:
    api("POST", "/queues/mail/pause")
    (action, *_) = stranger.app.site.audit.latest()
    assert (action.verb, action.target, action.address) == ("pause", "queue mail", "192.0.2.7")
    assert action.who == "operator by token"
