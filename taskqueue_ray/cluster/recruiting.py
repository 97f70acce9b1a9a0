"""How workers are started in Ray, under which names, and whether the cluster can hold them."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

from taskqueue_ray.cluster.admission import options_of
from taskqueue_ray.cluster.config import ACTOR_CPUS, NAMESPACE, WorkerConfig, encode, workers_prefix
from taskqueue_ray.cluster.worker_actor import WorkerActor
from taskqueue_ray.core.placement import Spot, matches
from taskqueue_ray.core.pool import Pool, executors_of, footprint
from taskqueue_ray.core.quotas import worker_holds
from taskqueue_ray.core.shape import Shape

DRAIN = 7 * 86_400.0
"""Seconds for which a worker of a pool that is to leave may go on with what it runs."""

log = logging.getLogger(__name__)


def holds(pool: Pool, shape: Shape) -> dict[str, float]:
    """What a worker of a pool counts as for quotas."""
    return worker_holds(executors_of(shape, pool.concurrency), shape, pool.terms.memory_limit)


def config_of(pool: Pool, shape: Shape, queue_actor: str, name: str, owner: str) -> WorkerConfig:
    """What a worker of a pool is told; `owner` is how the pool is called towards the queue."""
    terms = pool.terms
    return msgspec.convert(
        {
            **msgspec.structs.asdict(terms),
            "name": name,
            "queue_actor": queue_actor,
            "queues": pool.queues,
            "concurrency": executors_of(shape, pool.concurrency),
            "drain_seconds": DRAIN,
            "holds": holds(pool, shape),
            "shape": shape.text,
            "pool": owner,
        },
        WorkerConfig,
    )


def brand(pool: Pool, shape: Shape) -> str:
    """Equal for workers that are told the same: what their names tell of shape and pool."""
    told = (pool.queues, executors_of(shape, pool.concurrency), pool.terms, shape)
    return hashlib.sha256(msgspec.msgpack.encode(told)).hexdigest()[:8]


def detached_name(queue_actor: str, pool: str, mark: str, number: int) -> str:
    """The name of a worker of a stored pool: whoever starts it, it is the same one."""
    return f"{workers_prefix(queue_actor)}{pool}:{mark}:{number}"


def parts_of(name: str) -> tuple[str, str, int]:
    """Pool, brand and number of such a name."""
    pool, mark, number = name.rsplit(":", 3)[1:]
    return pool, mark, int(number)


def start(config: WorkerConfig, shape: Shape, spot: Spot, *, detached: bool) -> Any:
    """Ask Ray for a worker; one of that name that is there already is the one. Does not wait."""
    its, where = held(shape, config.concurrency), options_of(spot)
    options: dict[str, Any] = {
        "name": config.name,
        "namespace": NAMESPACE,
        "max_restarts": -1,
        "max_concurrency": 1000,  # executors on other machines hold calls
        "enable_task_events": False,
        **its,
        **where,
    }
    if labels := {**where.get("label_selector", {}), **its.get("label_selector", {})}:
        options["label_selector"] = labels
    if detached:
        options |= {"lifetime": "detached", "get_if_exists": True}
    return ray.remote(WorkerActor).options(**options).remote(encode(config))


def held(shape: Shape, executors: int) -> dict[str, Any]:
    """The options of Ray by which a worker holds what its executors need."""
    whole = footprint(shape, executors)
    options: dict[str, Any] = {"num_cpus": ACTOR_CPUS if whole.num_cpus is None else whole.num_cpus}
    if whole.num_gpus:
        options["num_gpus"] = whole.num_gpus
    if whole.memory is not None:
        options["memory"] = whole.memory
    if whole.resources:
        options["resources"] = dict(whole.resources)
    if whole.label_selector:
        options["label_selector"] = dict(whole.label_selector)
    if whole.runtime_env:
        options["runtime_env"] = msgspec.json.decode(whole.runtime_env)
    return options


def needs(shape: Shape, executors: int) -> dict[str, float]:
    """The same as amounts, by Ray's names of resources."""
    options = held(shape, executors)
    wanted = {
        "CPU": options["num_cpus"], "GPU": options.get("num_gpus", 0.0),
        "memory": options.get("memory", 0), **options.get("resources", {}),
    }  # fmt: skip
    return {name: amount for name, amount in wanted.items() if amount}


def find(name: str) -> Any | None:
    """The actor of that name, or None."""
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError:
        return None


def names_of(prefix: str) -> list[str]:
    """The names in use that begin so."""
    found = list_named_actors(all_namespaces=True)
    return [
        one["name"]
        for one in found
        if one["namespace"] == NAMESPACE and one["name"].startswith(prefix)
    ]


def end(actor: Any) -> None:
    """End an actor for good, if it is there."""
    try:
        ray.kill(actor, no_restart=True)
    except (RayError, ValueError):
        log.debug("an actor was gone before it could be ended")


def nodes() -> list[Mapping[str, Any]]:
    """The living nodes of this cluster, as Ray tells of them."""
    return [node for node in ray.nodes() if node["Alive"]]


def is_possible(shape: Shape, executors: int, among: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of these nodes could ever hold such a worker, were it empty."""
    return any(_could(shape, executors, node) for node in among)


def _could(shape: Shape, executors: int, node: Mapping[str, Any]) -> bool:
    has = node.get("Resources", {})
    wanted = needs(shape, executors)
    return all(has.get(name, 0.0) >= amount for name, amount in wanted.items()) and (
        matches(shape.label_selector, node.get("Labels") or {})
    )


def end_all(queue_actor: str, patience: float = 0.0) -> None:
    """End the workers of all stored pools; with patience they give back first what they run."""
    found = (find(name) for name in names_of(workers_prefix(queue_actor)))
    actors = [actor for actor in found if actor is not None]
    if actors and patience:
        refs = [actor.drain.remote(0.0) for actor in actors]
        ray.wait(refs, num_returns=len(refs), timeout=patience)
    for actor in actors:
        end(actor)
