"""Alerts on real actors: rules fire and resolve, and each is told once, come what may."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

import taskqueue_ray as tq
from taskqueue_ray.cluster.config import NAMESPACE, alert_actor_name
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place
from tests.cluster.processes import ours
from tests.receivers import Receiver, http_server

AT_ONCE: Any = {"for_": 0, "cooldown": 0}


def _told(receiver: Receiver) -> list[tuple[str, str, str]]:
    """Rule, state and id of each post."""
    found = [json.loads(post.body) for post in receiver.posts]
    return [(one["rule"], one["state"], one["id"]) for one in found]


def _states(receiver: Receiver) -> list[str]:
    return [state for _, state, _ in _told(receiver)]


def _alert_pid(place: Place) -> int:
    name = alert_actor_name(str(place.folder))
    with suppress(ValueError, RayError):
        return int(ray.get(ray.get_actor(name, NAMESPACE).pid.remote(), timeout=30.0))
    return 0


def test_a_predicate_fires_and_resolves_and_each_is_told_once(place: Place) -> None:
    """Over the death of the alert actor in between, too."""
    q = place.connect(alert_interval=0.2)
    with http_server() as receiver:
        hook = tq.sinks.Webhook(receiver.url, secret="of us both")
        rule = q.alerts.add("deep", lambda stats: stats.pending > 2, sinks=[hook], **AT_ONCE)
        assert rule.sinks == (f"webhook {receiver.url[7:]}",)
        jobs = q.enqueue_many(trial_jobs.add.item(n) for n in range(3))
        eventually(lambda: _states(receiver) == ["firing"], "it fires")
        (firing,) = q.alerts.firing()
        assert firing.name == "deep"

        pid = _alert_pid(place)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: _alert_pid(place) not in (0, pid), "it came back")
        q.cancel(*jobs)
        eventually(lambda: "resolved" in _states(receiver), "it is over")
        assert [state for _, state, _ in dict.fromkeys(_told(receiver))] == ["firing", "resolved"]

        post = receiver.posts[0]
        assert post.headers["Idempotency-Key"] == json.loads(post.body)["id"]
        timestamp, signature = (
            post.headers["X-Taskqueue-Timestamp"],
            post.headers["X-Taskqueue-Signature"],
        )
        assert tq.sinks.verify("of us both", timestamp, signature, post.body)
        eventually(lambda: [one.what for one in q.alerts.history("deep")] == [
            "delivered", "resolved", "delivered", "firing"], "the history has it all")  # fmt: skip


def _dies(stats: Any) -> bool:
    os._exit(3)


def test_functions_of_users_harm_nobody(place: Place, tmp_path: Path) -> None:
    """One raises and one kills its process; the rule beside them is judged, and calls its sink."""
    q = place.connect(alert_interval=0.2)
    told = tmp_path / "told"

    def note(alert: dict[str, Any]) -> None:
        with told.open("a", encoding="utf-8") as file:
            file.write(f"{alert['rule']} {alert['state']} {os.getpid()}\n")

    q.alerts.add("raises", lambda stats: stats.nonsense > 1, **AT_ONCE)
    q.alerts.add("dies", _dies, **AT_ONCE)
    q.alerts.add(
        "runs", lambda workers, metrics, nodes: nodes and not workers and metrics.pending == 0,
        sinks=[tq.sinks.Call(note)], **AT_ONCE,
    )  # fmt: skip
    eventually(lambda: told.exists() and told.read_text(), "it was called")
    states = {one.name: (one.state, one.problem) for one in q.alerts.list()}
    assert states["raises"][0] == states["dies"][0] == "error"
    assert "have no 'nonsense'" in states["raises"][1]
    assert "ended the process" in states["dies"][1]
    assert told.read_text().split()[2] not in (str(_alert_pid(place)), str(os.getpid()))


def test_a_job_is_enqueued_once_and_gets_the_alert(place: Place) -> None:
    q = place.connect(alert_interval=0.2)
    sink = tq.sinks.EnqueueJob(trial_jobs.report, room="blue")
    q.alerts.add("few", tq.Threshold("workers", "<", 1), sinks=[sink, tq.sinks.Log()], **AT_ONCE)
    (waiting,) = eventually(lambda: q.jobs(queue="reports"), "its job is there")
    with q.workers(["reports"]):
        assert q.handle(waiting.id).result(timeout=60) == "few firing blue"
    assert sorted((one.what, one.text) for one in q.alerts.test("few")) == [
        ("delivered", "job tests.cluster.trial_jobs.report"), ("delivered", "log"),
    ]  # fmt: skip


def test_nobody_is_left_when_the_queue_ends(place: Place) -> None:
    q = place.connect(alert_interval=0.1)
    q.alerts.add("never", lambda stats: False)
    pid = eventually(lambda: _alert_pid(place), "somebody watches")
    eventually(lambda: q.alerts.list()[-1].name == "never", "it is kept")
    place.shut_down()
    eventually(lambda: pid not in {one.pid for one in ours()}, "its actor has ended")
