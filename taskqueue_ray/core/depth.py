"""How many jobs may wait in a queue."""

from collections.abc import Mapping

from taskqueue_ray.core.errors import QueueFull
from taskqueue_ray.core.expiries import WAITING
from taskqueue_ray.core.state import State


def check_room(
    state: State, coming: Mapping[str, int], leaving: Mapping[str, int], limit: int
) -> None:
    """Raises `QueueFull` when jobs that come to a queue are more than fit once others have left.

    `limit` holds for every queue, and a queue may have a lower one of its own.
    """
    for queue, jobs in coming.items():
        totals = state.totals.get(queue)
        waiting = sum(totals.counts[state] for state in WAITING) if totals else 0
        own = state.settings.get(queue)
        if own is not None and own.max_depth is not None:
            most = min(limit, own.max_depth)
        else:
            most = limit
        if waiting + jobs - leaving.get(queue, 0) > most:
            raise QueueFull(queue, most)
