"""Stored pools on real actors: from nothing to as many workers as it takes, and back."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

import taskqueue_ray as tq
from taskqueue_ray.cluster.config import NAMESPACE, pool_actor_name, workers_prefix
from taskqueue_ray.sdk.pools import PoolRecord
from tests.cluster import trial_jobs
from tests.cluster.patience import eventually
from tests.cluster.place import Place


def workers_of(place: Place) -> list[str]:
    """The names of the workers of this place's stored pools."""
    prefix = workers_prefix(place.actor_name)
    actors = list_named_actors(all_namespaces=True)
    return sorted(one["name"] for one in actors if one["name"].startswith(prefix))


def pool_actor(place: Place) -> Any:
    try:
        return ray.get_actor(pool_actor_name(place.actor_name), NAMESPACE)
    except ValueError:
        return None


def pid_of(actor: Any) -> int:
    """Its process, 0 when it does not answer."""
    with suppress(RayError):
        return int(ray.get(actor.__ray_call__.remote(lambda _self: os.getpid()), timeout=30.0))
    return 0


def pool(q: tq.TaskQueue) -> PoolRecord:
    """The pool of this test."""
    found = q.pools.get("p")
    assert found is not None
    return found


def gone(place: Place, q: tq.TaskQueue) -> None:
    """Delete the pool, and see that nothing of it is left."""
    assert q.pools.delete("p")
    eventually(lambda: not workers_of(place), "its workers end")
    eventually(lambda: pool_actor(place) is None, "nobody is needed to look after it")


def test_from_zero_on_a_burst_and_back_to_zero(place: Place) -> None:
    q = place.connect()
    q.pools.set("p", min=0, max=2, concurrency=2, cool_down="1s")
    eventually(lambda: pool_actor(place) is not None, "the pool actor")
    assert not workers_of(place), "nothing to do, nobody there"
    handles = q.enqueue_many(trial_jobs.add.item(n, 1) for n in range(50))
    assert sum(tq.gather(*handles)) == sum(range(50)) + 50
    [worker, *_] = q.worker_health()
    assert worker.pool == "p"
    eventually(lambda: not workers_of(place), "back to zero")
    gone(place, q)


def test_a_pool_actor_that_is_killed_is_followed_by_one_that_adopts(
    place: Place, tmp_path: Path
) -> None:
    q = place.connect()
    gate = tmp_path / "gate"
    q.pools.set("p", min=2, max=2)
    held = q.enqueue(trial_jobs.waits_for, str(tmp_path / "w"), str(gate))
    eventually(lambda: len(q.worker_health()) == 2, "both are there")
    eventually(lambda: held.status() == "processing", "one is busy")
    before = {worker.id for worker in q.worker_health()}
    first = pid_of(pool_actor(place))
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pid_of(pool_actor(place)) not in (0, first), "another one")
    eventually(lambda: not pool(q).starting and pool(q).ready == 2, "it has looked around")
    assert {worker.id for worker in q.worker_health()} == before, "the same, and none twice"
    assert len(workers_of(place)) == 2
    gate.touch()
    assert held.result(30)
    assert held.info().losses == 0
    gone(place, q)


def test_pools_come_back_with_the_queue(place: Place) -> None:
    q = place.connect()
    q.pools.set("p", min=1, max=1)
    eventually(lambda: workers_of(place), "a worker")
    place.shut_down()
    eventually(lambda: not workers_of(place), "they end with the queue")
    eventually(lambda: pool_actor(place) is None, "and so does their pool actor")
    q = place.connect()
    eventually(q.worker_health, "they come back with it")
    assert q.enqueue(trial_jobs.add, 1, 2).result(30) == 3
    os.kill(place.ping().pid, signal.SIGKILL)
    assert q.enqueue(trial_jobs.add, 2, 2).result(30) == 4
    assert len(workers_of(place)) == 1
    gone(place, q)


def test_a_shape_that_no_node_has_waits_and_others_go_on(place: Place) -> None:
    q = place.connect()
    q.pools.set("p", max=1)
    nowhere = q.enqueue(trial_jobs.add.options(executor="process", resources={"no_such": 1}), 1)
    eventually(lambda: q.why(nowhere.id).reason == "impossible", "it says so")
    assert "no_such=1" in q.why(nowhere.id).sentence
    assert q.enqueue(trial_jobs.add, 1, 2).result(30) == 3
    [problem] = pool(q).problems
    assert "no node of this cluster can hold" in problem
    nowhere.cancel()
    gone(place, q)


@pytest.mark.slow
def test_an_application_that_cannot_be_imported_is_told_and_not_tried_in_a_loop(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "pool_trial_broken.py"
    broken.write_text("raise RuntimeError('the licence has expired')\n")
    monkeypatch.syspath_prepend(tmp_path)
    q = place.connect(app=["pool_trial_broken"])
    q.pools.set("p", min=1, max=1)
    handle = q.enqueue("tests.cluster.trial_jobs.add", 1, 2)
    eventually(lambda: q.why(handle.id).reason == "cannot_start", "it says so")
    assert "the licence has expired" in q.why(handle.id).sentence
    [problem] = pool(q).problems
    assert "the licence has expired" in problem
    eventually(lambda: pool(q).staff[0].failures >= 2, "it tries again")
    assert pool(q).staff[0].retry_in > 1.0, "later and later"
    assert handle.info().attempts == 0
    broken.write_text("")
    assert handle.result(60) == 3
    eventually(lambda: not pool(q).problems, "all is well")
    gone(place, q)


@pytest.mark.slow
def test_fixed_shapes_and_a_changed_pool(place: Place) -> None:
    """Workers hold what their jobs ask for; those of an earlier setting make way."""
    q = place.connect()
    q.pools.set("p", max=2, shapes=[{"num_cpus": 1}], concurrency=2)
    plain = q.enqueue(trial_jobs.add, 1, 2)
    shaped = trial_jobs.add.options(executor="process", num_cpus=1)
    assert q.enqueue(shaped, 2, 2).result(30) == 4
    [worker] = q.worker_health()
    assert (worker.shape, worker.concurrency) == ("num_cpus=1", 2)
    assert ray.available_resources()["CPU"] <= ray.cluster_resources()["CPU"] - 2.0
    assert q.why(plain.id).reason == "no_fitting_worker"
    q.pools.set("p", shapes="auto", concurrency=1)
    assert plain.result(30) == 3
    assert q.enqueue(shaped, 3, 2).result(30) == 5
    eventually(lambda: worker.id not in {one.id for one in q.worker_health()}, "the old one left")
    gone(place, q)
