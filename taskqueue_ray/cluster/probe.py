"""What can be asked of a queue's actor besides its desk: who it is, and whether it answers."""

import time

from ray.exceptions import RayError

from taskqueue_ray.cluster.asking import ask
from taskqueue_ray.cluster.handles import QueueHandle, find_actor
from taskqueue_ray.core.envelopes import decode, encode, open_reply
from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.core.exchange import JobPage, Ping


def ping(queue: QueueHandle, timeout: float = 10.0) -> Ping:
    """Who the actor is now. Raises `QueueClosed` without one, `Unavailable` without an answer."""
    try:
        reply = ask(find_actor(queue.name).ping.remote, timeout)
    except RayError as error:
        raise Unavailable(f"its actor does not answer: {type(error).__name__}") from error
    return decode(open_reply(reply), Ping)


def fold(queue: QueueHandle, timeout: float = 30.0) -> bool:
    """Fold all that has ended into the history now; True when that was done in time."""
    queue.call("fold", b"\xc0")
    deadline = time.monotonic() + timeout
    question = encode((0.0, None, 1))
    while time.monotonic() < deadline:
        if not decode(queue.call("ended", question), JobPage).jobs:
            return True
        time.sleep(0.05)
    return False
