"""Facts of a queue that only its cluster tells: whether its actor answers, and its nodes."""

import time
from contextlib import suppress
from typing import Any

import ray
from msgspec.structs import replace
from ray.exceptions import RayError

from taskqueue_ray._version import VERSION
from taskqueue_ray.cluster import rim
from taskqueue_ray.cluster.bootstrap import join_owner
from taskqueue_ray.cluster.config import ACTOR_CPUS, queue_actor_name
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.probe import ping
from taskqueue_ray.cluster.surroundings import cluster_nodes
from taskqueue_ray.core.alerts import AlertsView
from taskqueue_ray.core.demand import PoolStatus
from taskqueue_ray.core.envelopes import decode
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import Controls
from taskqueue_ray.core.health import Facts, NodeFacts
from taskqueue_ray.core.nodes import NodeView
from taskqueue_ray.core.observation import Observation
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.examining import examine_folder
from taskqueue_ray.engine.ownership import location_of
from taskqueue_ray.engine.watched import Node
from taskqueue_ray.storage.owner import FoundOwner

ANSWER = 5.0
"""Seconds for an answer of the queue."""

PROBES = 20.0
"""Seconds for all probes of nodes: the first starts a process there."""

LATE = 30.0
"""Seconds that a notice may wait before it counts as undelivered."""


def examine_owned(settings: Settings, facts: Facts, owner: FoundOwner) -> Facts:
    """With what the cluster of a live owner says. Starts and changes nothing of the queue."""
    joined, problem = _join(settings, owner)
    if problem:
        return replace(facts, owner_problem=problem)
    try:
        return examine_queue(QueueHandle(queue_actor_name(facts.storage)), settings, facts)
    finally:
        if joined:
            ray.shutdown()


def examine_connected(queue: QueueHandle, settings: Settings, location: str) -> Facts:
    """The same for a program that is connected."""
    facts, _ = examine_folder(replace(settings, storage=location))
    return examine_queue(queue, settings, replace(facts, exists=True, storage_problem=""))


def examine_queue(queue: QueueHandle, settings: Settings, facts: Facts) -> Facts:
    """With what the queue and its nodes say."""
    try:
        found = ping(queue, ANSWER)
        facts = replace(facts, ping=found)
        if found.recovering or found.protocol != facts.protocol:
            return facts
        facts = _asked(queue, facts)
    except TaskQueueError as error:
        return replace(facts, queue_problem=str(error))
    return replace(facts, nodes=tuple(probe_nodes(settings.key_file)))


def _asked(queue: QueueHandle, facts: Facts) -> Facts:
    seen = decode(queue.call("observe", b"\xc0", ANSWER), Observation)
    controls = decode(queue.call("controls", b"\xc0", ANSWER), Controls)
    alerts = decode(queue.call("alerts", b"\xc0", ANSWER), AlertsView)
    pools = decode(queue.call("pools", b"\xc0", ANSWER), list[PoolStatus])
    nodes = decode(queue.call("nodes", b"\xc0", ANSWER), list[NodeView])
    on = [one for one in alerts.rules if one.rule.enabled]
    return replace(
        facts,
        observation=seen,
        sealed_with=tuple(seen.keys),
        pauses=tuple(f"{kind} {name}" for kind, name, _ in controls.pauses),
        silent_rules=tuple((r.rule.name, r.standing.problem) for r in on if r.standing.problem),
        firing=tuple((r.rule.name, r.standing.detail) for r in on if r.standing.phase == "firing"),
        rules=sum(not one.rule.builtin for one in on),
        undelivered=sum(seen.at - notice.at > LATE for notice in alerts.outbox),
        pools=tuple(pools),
        places=tuple(nodes),
    )


def _join(settings: Settings, owner: FoundOwner) -> tuple[bool, str]:
    """Whether this process joined the owner's cluster just now; and why it could not."""
    if ray.is_initialized():
        return False, ""
    try:
        join_owner(location_of(settings), owner)
    except TaskQueueError as error:
        return False, str(error)
    return True, ""


# --- nodes ------------------------------------------------------------------------------------


def probe_nodes(key_file: str | None) -> list[NodeFacts]:
    """What the nodes besides this one say; none when there is no other."""
    try:
        here = rim.node_id()
        others = [one for one in cluster_nodes() if one.alive and one.id != here]
        return _probed(others, key_file) if others else []
    except RayError:
        return []


def _probed(nodes: list[Node], key_file: str | None) -> list[NodeFacts]:
    deadline = time.monotonic() + PROBES
    task = ray.remote(num_cpus=ACTOR_CPUS, max_retries=0)(_look_around)
    asked = {node.id: task.options(label_selector={rim.NODE_LABEL: node.id}) for node in nodes}
    # The first starts a process on each node; the second is quick, and so tells the time.
    first = {name: remote.remote(key_file) for name, remote in asked.items()}
    ray.wait(list(first.values()), num_returns=len(first), timeout=PROBES)
    return [_probe(node, asked[node.id], first[node.id], key_file, deadline) for node in nodes]


def _probe(node: Node, task: Any, first: Any, key_file: str | None, deadline: float) -> NodeFacts:
    try:
        ray.get(first, timeout=max(0.1, deadline - time.monotonic()))
        asked_at = time.time()
        there, version, keys, problem = ray.get(task.remote(key_file), timeout=ANSWER)
        answered_at = time.time()
    except RayError as error:
        with suppress(RayError, ValueError):
            ray.cancel(first, force=True)
        return NodeFacts(node.id, node.host, problem=type(error).__name__)
    half = (answered_at - asked_at) / 2
    return NodeFacts(
        node.id, node.host, there - (asked_at + half), half, version, tuple(keys), problem
    )


def _look_around(key_file: str | None) -> tuple[float, str, list[str], str]:
    """On a node: its time, the package's version, the ids of its keys, and what is wrong."""
    try:
        keyring = keyring_of(rim.settings(key_file))
    except TaskQueueError as error:
        return time.time(), VERSION, [], str(error)
    return time.time(), VERSION, list(keyring.ids) if keyring else [], ""
