"""Workers, pools, nodes, limits and quotas on pages and over REST."""

import pytest
from msgspec.structs import replace

from taskqueue_ray.core.demand import LookRequest, PoolLook, Staff
from taskqueue_ray.core.envelopes import encode
from taskqueue_ray.core.nodes import NodeSight
from taskqueue_ray.engine.admission import RETURN
from tests.inprocess import WORKER, Bench
from tests.unit.sdk.jobs_for_tests import break_down, send
from tests.unit.web.conftest import OPERATOR, VIEWER, Api, Visitor

HEAD = NodeSight(
    "aaaa1111", address="10.0.0.1", host="head", port=6001,
    resources={"CPU": 4.0}, available={"CPU": 1.0},
)  # fmt: skip
BOX = replace(HEAD, id="bbbb2222", address="10.0.0.2", host="box")


@pytest.fixture
def nodes(bench: Bench) -> Bench:
    """The bench with two nodes."""
    with bench.host.lock:
        bench.host.engine.observe([HEAD, BOX])
    bench.advance(RETURN + 1)
    return bench


def _staffed(bench: Bench, *staff: Staff) -> None:
    """A pool looks at the queue with these workers."""
    look = PoolLook("batch", ("mail",), list(staff))
    bench.host.serve("look", encode(LookRequest([look], detached=True))).result(5.0)


# --- workers and pools ------------------------------------------------------------------------


def test_a_worker_is_told_to_leave(operator: Visitor, bench: Bench) -> None:
    bench.work()
    operator.app.site.poller.look_again()
    assert "Drain worker" in operator.get("/workers").text
    operator.post("/workers/drain", worker=WORKER)
    assert bench.q.worker_health()[0].draining
    page = operator.get("/workers").text
    assert "draining" in page
    assert "Drain worker" not in page
    operator.post("/workers/drain", worker="nobody")
    assert "there is no such worker" in operator.get("/workers").text


def test_what_keeps_workers_from_starting_is_said(operator: Visitor, bench: Bench) -> None:
    bench.q.pools.set("batch", ["mail"], max=4)
    _staffed(
        bench,
        Staff("", wanted=2, ready=1, starting=1),
        Staff("num_gpus=1", wanted=1, impossible=True),
        Staff("num_cpus=2", wanted=1, problem="<b>no module", retry_in=9.0),
        Staff("num_cpus=3", wanted=1, refused="the quota of cpu is 4"),
    )
    page = operator.get("/workers").text
    for words in (
        "1 pending", "no node of this cluster can hold a worker with num_gpus=1",
        "&lt;b&gt;no module (tried again in 9 s)", "the quota of cpu is 4",
    ):  # fmt: skip
        assert words in page


def test_a_pool_is_suspended_and_resumed(operator: Visitor, bench: Bench) -> None:
    bench.q.pools.set("batch", ["mail"], max=4)
    operator.post("/pools/batch/suspend")
    assert bench.q.pools.list().rows()[0]["state"] == "suspended"
    assert "Resume batch" in operator.get("/workers").text
    operator.post("/pools/batch/resume")
    assert bench.q.pools.list().rows()[0]["state"] != "suspended"


# --- nodes ------------------------------------------------------------------------------------


def test_a_node_is_cordoned_fenced_and_let_in_again(operator: Visitor, nodes: Bench) -> None:
    page = operator.get("/nodes").text
    assert page.count("data-key") == 2
    assert "3 of 4" in page
    for verb, state in (("cordon", "cordoned"), ("drain", "draining"), ("fence", "fenced")):
        operator.post(f"/nodes/{verb}", node=BOX.id)
        assert nodes.q.nodes.get(BOX.id).state == state
        assert f">{state}<" in operator.get("/nodes").text
    operator.post("/nodes/readmit", node=BOX.id)
    assert nodes.q.nodes.get(BOX.id).state == "alive"
    assert operator.post("/nodes/readmit", node="nowhere").status_code == 404
    assert operator.post("/nodes/explode", node=BOX.id).status_code == 400
    verbs = [one.verb for one in operator.app.site.audit.latest()]
    assert verbs[:4] == ["readmit", "fence", "drain", "cordon"]


def test_how_workers_are_placed_is_chosen(operator: Visitor, nodes: Bench) -> None:
    operator.post("/nodes/strategy", strategy="weighted")
    assert nodes.q.load_balancer.strategy == "weighted"
    assert operator.post("/nodes/strategy", strategy="at random").status_code == 400


# --- limits and quotas ------------------------------------------------------------------------


def test_limits_are_set_closed_and_deleted(operator: Visitor, bench: Bench) -> None:
    operator.post("/limits", name="api", n="1,000", per="60", smooth="yes")
    operator.post("/limits", name="gpu", n="2", key="a/<b>")
    operator.post("/limits", queue="mail", n="3")
    operator.post("/limits", type="reports.build", n="1")
    (rate,) = bench.q.rate_limiter.limits()
    assert (rate.name, rate.n, rate.per, rate.smooth) == ("api", 1000, 60.0, True)
    assert bench.q.queues.settings("mail").concurrency == 3
    page = operator.get("/limits").text
    assert page.count("data-key") == 4
    assert "1,000 in 1 min, evenly" in page
    operator.post("/limits/throttle", name="api", seconds="60")
    assert "closed" in operator.get("/limits").text
    assert bench.q.rate_limiter.limits()[0].until is not None
    operator.post("/limits/throttle", name="api", seconds="0")
    for fields in ({"name": "api"}, {"name": "gpu", "key": "a/<b>"}, {"queue": "mail"},
                   {"type": "reports.build"}):  # fmt: skip
        assert operator.post("/limits/delete", **fields).status_code == 303
    assert "No limits" in operator.get("/limits").text
    assert bench.q.queues.settings("mail").concurrency is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": "2"}, {"name": "a", "n": "few"}, {"name": "a", "type": "b", "n": "1"},
        {"type": "b", "n": "1", "per": "5"}, {"name": "a", "n": "1", "per": "soon"},
        {"queue": "mail", "key": "x", "n": "1"}, {"name": "a", "n": "1", "smooth": "yes"},
        {"name": "No Name", "n": "1"}, {"queue": "mail", "n": "0"},
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused(
    operator: Visitor, bench: Bench, wrong: dict[str, str]
) -> None:
    assert operator.post("/limits", **wrong).status_code == 400
    assert bench.q.rate_limiter.limits() + bench.q.concurrency.limits() == []
    assert bench.q.queues.settings("mail").concurrency is None


def test_quotas_are_set_and_deleted(operator: Visitor, nodes: Bench) -> None:
    operator.post("/quotas", resource="cpu", amount="50%")
    operator.post("/quotas", resource="memory", amount="1GB", queue="mail")
    page = operator.get("/limits").text
    assert "0 of 4" in page
    assert "1,000 MB" in page
    operator.post("/quotas/delete", resource="cpu")
    assert [one.resource for one in nodes.q.quotas.list()] == ["memory"]
    for wrong in ({"resource": "cpu", "amount": "lots"}, {"resource": "cpu", "amount": "0.001"}):
        assert operator.post("/quotas", **wrong).status_code == 400


def test_a_queue_shows_how_many_run_at_a_time(operator: Visitor, bench: Bench) -> None:
    _ = send.enqueue("x")
    operator.post("/queues/mail/settings", concurrency="7")
    assert bench.q.queues.settings("mail").concurrency == 7
    assert "of 7" in operator.get("/queues/mail").text


def test_a_viewer_changes_nothing(stranger: Visitor, nodes: Bench) -> None:
    nodes.q.rate_limiter.set_limit("api", 5)
    nodes.q.quotas.set("cpu", 4)
    nodes.q.pools.set("batch", ["mail"])
    stranger.log_in(VIEWER)
    for path in ("/workers", "/nodes", "/limits"):
        assert stranger.get(path).text.count('method="post"') == 1, "only to log out"
    for path in ("/workers/drain", "/nodes/fence", "/nodes/strategy", "/limits", "/quotas/delete",
                 "/limits/throttle", "/pools/batch/suspend"):  # fmt: skip
        assert stranger.post(path).status_code == 403


# --- the front page and what was measured -----------------------------------------------------


def test_the_front_page_says_how_long_jobs_wait_and_run(operator: Visitor, bench: Bench) -> None:
    _ = send.enqueue("x")
    _ = break_down.enqueue("x")
    bench.advance(3)
    bench.work()
    operator.app.site.poller.look_again()
    page = operator.get("/").text
    assert "<dt>Waits</dt><dd>3.0 s</dd>" in page
    assert "50.0 %" in page
    assert "<dt>Waits</dt>" in operator.get("/queues/mail").text


def test_metrics_are_those_of_the_queue(stranger: Visitor) -> None:
    _ = send.enqueue("x")
    for token in (OPERATOR, VIEWER):
        answer = stranger.get("/metrics", headers={"authorization": f"Bearer {token}"})
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'taskqueue_jobs{queue="mail",state="pending"} 1.0' in answer.text
        assert answer.text.count("# TYPE taskqueue_up gauge") == 1


# --- REST -------------------------------------------------------------------------------------


def test_programs_do_the_same(api: Api, nodes: Bench) -> None:
    assert api("PUT", "/limits", {"name": "api", "n": 5, "per": "1m"}).status_code == 204
    assert api("PUT", "/limits", {"name": "api", "n": 5}).status_code == 400
    (limit,) = api("GET", "/limits").json()["limits"]
    assert (limit["name"], limit["n"], limit["kind"]) == ("api", 5, "rate")
    assert api("POST", "/limits/throttle", {"name": "api", "seconds": 9}).json()["until"]
    assert api("POST", "/limits/delete", {"name": "api"}).json() == {"changed": True}
    assert api("POST", "/limits/delete", {"name": "api"}).json() == {"changed": False}
    assert api("PUT", "/quotas", {"resource": "cpu", "amount": "50%"}).status_code == 204
    (quota,) = api("GET", "/quotas").json()["quotas"]
    assert (quota["resource"], quota["ceiling"]) == ("cpu", 4.0)
    assert api("POST", "/quotas/delete", {"resource": "cpu"}).json() == {"changed": True}
    assert [one["host"] for one in api("GET", "/nodes").json()["nodes"]] == ["head", "box"]
    assert api("POST", "/nodes/box/fence").json()["state"] == "fenced"
    assert api("POST", "/nodes/box/readmit").json()["state"] == "alive"
    assert api("POST", "/nodes/box/explode").status_code == 422
    assert api("POST", "/nodes/nowhere/cordon").status_code == 404
    nodes.q.pools.set("batch", ["mail"])
    assert api("POST", "/pools/batch/suspend").json() == {"changed": True}
    (pool,) = api("GET", "/pools").json()["pools"]
    assert (pool["pool"], pool["state"]) == ("batch", "suspended")
    assert api("POST", "/pools/batch/resume").json() == {"changed": True}
    nodes.work()
    assert api("POST", f"/workers/{WORKER}/drain").json() == {"found": True}
    assert api("PATCH", "/queues/mail", {"concurrency": 4}).json()["concurrency"] == 4
