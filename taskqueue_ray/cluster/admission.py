"""Starting workers by the queue's leave: within quotas, on the node that its strategy says."""

from contextlib import suppress
from typing import Any

from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.rim import NODE_LABEL
from taskqueue_ray.core.admission import WorkersAdmitted, WorkersWanted
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.placement import Spot


def ask_leave(queue: QueueHandle, wanted: WorkersWanted) -> WorkersAdmitted:
    """The first as many of the names as there are spots may be started; each counts from now on."""
    return decode(queue.call("admit_workers", encode(wanted)), WorkersAdmitted)


def give_up(queue: QueueHandle, names: list[str]) -> None:
    """These will not be started after all, or will not come up."""
    with suppress(TaskQueueError, RayError):
        queue.submit("give_up_workers", encode(names))


def refusal_of(answer: WorkersAdmitted) -> str:
    """Why no more may start, in words; "" when all may."""
    if answer.is_closed:
        return "every node is cordoned, draining or fenced"
    return "" if answer.refusal is None else answer.refusal.words


def options_of(spot: Spot) -> dict[str, Any]:
    """Where a worker's actor goes, in words of Ray; merge them into its other options.

    To a node if that has room when it starts: hard affinity would end it with its node.
    """
    options: dict[str, Any] = {}
    if spot.node:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
            spot.node, soft=True, _spill_on_unavailable=True
        )
    elif spot.spread:
        options["scheduling_strategy"] = "SPREAD"
    if spot.closed:
        options["label_selector"] = {NODE_LABEL: f"!in({','.join(spot.closed)})"}
    return options
