"""Starting workers by the queue's leave: within quotas, on the node that its strategy says."""

import logging
import secrets
from collections.abc import Iterable, Mapping
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

log = logging.getLogger(__name__)


class Leave:
    """Asks the queue for leave to start workers that are alike. For a pool, or a program.

    `holds` is what each counts as for quotas, `needs` what its actor asks of Ray.
    """

    def __init__(
        self,
        queue: QueueHandle,
        queues: tuple[str, ...],
        holds: Mapping[str, float],
        needs: Mapping[str, float],
        starter: str = "",
    ) -> None:
        self._queue = queue
        self._queues = queues
        self._holds = dict(holds)
        self._needs = dict(needs)
        self._starter = starter or secrets.token_hex(8)
        self._said = ""

    def ask(self, names: list[str], starting: Iterable[str] = ()) -> WorkersAdmitted:
        """Ask for workers of these actor names, and say which are still on their way.

        The first as many of them as there are spots may be started; each counts from now on.
        """
        wanted = WorkersWanted(
            self._starter, self._queues, names, self._holds, self._needs, list(starting)
        )
        answer = decode(self._queue.call("admit_workers", encode(wanted)), WorkersAdmitted)
        self._say(answer)
        return answer

    def give_up(self, names: list[str]) -> None:
        """These will not be started after all, or will not come up."""
        with suppress(TaskQueueError, RayError):
            self._queue.submit("give_up_workers", encode(names))

    def _say(self, answer: WorkersAdmitted) -> None:
        words = answer.words
        if words and words != self._said:
            log.warning("no further worker may start: %s", words)
        self._said = words


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
