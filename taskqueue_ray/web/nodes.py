"""What pages and programs can do to a node."""

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.nodes import NodeRecord
from taskqueue_ray.web import inputs

VERBS = {
    "cordon": "no more jobs and workers go there; what runs goes on",
    "drain": "its workers leave",
    "fence": "its jobs are taken back and run elsewhere; what comes of them there is refused",
    "readmit": "it gets jobs and workers again",
}
"""What can be done to a node, and what comes of it."""


def move(queue: TaskQueue, verb: str, node: str, within: str | None = None) -> NodeRecord:
    """Do that to a node. Raises `UnknownNode`, `InvalidOption`."""
    match verb:
        case "cordon":
            return queue.nodes.cordon(node)
        case "drain":
            return queue.nodes.drain(node, within=None if within is None else inputs.span(within))
        case "fence":
            return queue.fault_tolerance.handle_network_partition(node)
        case "readmit":
            return queue.nodes.readmit(node)
        case _:
            raise InvalidOption("verb", ascii(verb)[:80], ", ".join(VERBS))
