"""Stored pools on real actors: from nothing to as many workers as it takes, and back."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util import list_named_actors

import taskqueue_ray as tq
from taskqueue_ray.cluster.config import NAMESPACE, pool_actor_name, workers_prefix
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
    return ray.get(actor.__ray_call__.remote(lambda _self: os.getpid()), timeout=30.0)


def gone(place: Place, q: tq.TaskQueue, name: str) -> None:
    """Delete a pool, and see that nothing of it is left."""
    assert q.pools.delete(name)
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
    gone(place, q, "p")
