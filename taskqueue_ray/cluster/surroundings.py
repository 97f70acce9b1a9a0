"""What is around a queue: its disk and the nodes of its cluster. These calls may block."""

import shutil
from collections.abc import Mapping

import ray
from ray.exceptions import RayError

from taskqueue_ray.engine.watched import Node
from taskqueue_ray.storage.location import parse_location


def disk_figures(location: str) -> Mapping[str, float]:
    """How full the disk of a folder is; nothing for storages of other kinds."""
    place = parse_location(location)
    if place.kind != "folder":
        return {}
    try:
        usage = shutil.disk_usage(place.place)
    except OSError:
        return {}
    # As `df` has it: what is kept for root is neither used nor free.
    there = usage.used + usage.free
    return {"storage_used": usage.used / there if there else 0.0, "storage_free": float(usage.free)}


def cluster_nodes() -> list[Node]:
    """The nodes that Ray knows, dead ones included; none when it does not answer."""
    try:
        found = ray.nodes()
    except RayError:
        return []
    return [
        Node(
            str(one["NodeID"]),
            bool(one["Alive"]),
            str(one.get("NodeManagerHostname", "")),
            {str(name): float(count) for name, count in one.get("Resources", {}).items()},
        )
        for one in found
    ]
