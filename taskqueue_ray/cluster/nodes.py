"""The nodes of the Ray cluster, as Ray tells of them."""

from collections.abc import Mapping
from typing import Any

import ray
from ray._private.state import state as ray_state

from taskqueue_ray.core.nodes import NodeSight

LOOK = 1.0
"""Seconds between two looks at the nodes: a node that has died is noticed no later."""

_HEAD = "node:__internal_head__"


def look() -> list[NodeSight]:
    """All nodes, those that have died too. Blocks for a moment, in calls to Ray's head.

    Raises what Ray raises when that does not answer.
    """
    nodes = ray.nodes()
    available = ray_state.available_resources_per_node()
    # Ray shows with nothing public that a node is to end: not before 2.60, at least.
    ending = ray_state.get_draining_nodes()
    return [sight_of(node, available, ending) for node in nodes]


def sight_of(
    node: Mapping[str, Any], available: Mapping[str, Mapping[str, float]], ending: Mapping[str, int]
) -> NodeSight:
    """One node out of Ray's tables: what is free by node, and ends of nodes in ms (0: unknown)."""
    one, resources = node["NodeID"], dict(node.get("Resources", {}))
    return NodeSight(
        one,
        bool(node["Alive"]),
        node.get("NodeManagerAddress", ""),
        node.get("NodeManagerHostname", ""),
        node.get("NodeName", ""),
        node.get("NodeManagerPort", 0),
        _own(resources),
        _own(available.get(one, {})),
        dict(node.get("Labels", {})),
        one in ending,
        # Ray has the largest number there is for "no end".
        at if (at := ending.get(one, 0) / 1e3) < 1e11 else 0.0,
        _HEAD in resources,
    )


def _own(resources: Mapping[str, float]) -> dict[str, float]:
    """Without those by which Ray names its nodes."""
    return {name: float(n) for name, n in resources.items() if not name.startswith("node:")}
