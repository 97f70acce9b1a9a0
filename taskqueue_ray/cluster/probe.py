"""What can be asked of a queue's actor besides its desk: who it is, and whether it answers."""

import ray
from ray.exceptions import RayError

from taskqueue_ray.cluster.handles import QueueHandle, find_actor
from taskqueue_ray.core.envelopes import decode, open_reply
from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.core.exchange import Ping


def ping(queue: QueueHandle, timeout: float = 10.0) -> Ping:
    """Who the actor is now. Raises `QueueClosed` without one, `Unavailable` without an answer."""
    try:
        reply = ray.get(find_actor(queue.name).ping.remote(), timeout=timeout)
    except RayError as error:
        raise Unavailable(f"its actor does not answer: {type(error).__name__}") from error
    return decode(open_reply(reply), Ping)


def fold(queue: QueueHandle) -> None:
    """Ask for a fold of the journal into history now; it goes on after the return."""
    queue.call("fold", b"\xc0")
