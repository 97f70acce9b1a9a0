"""Questions to actors that may be put again: repeated while a lost message is all that happened.

Ray calls an actor unavailable when a request or its reply was lost, or while it restarts; it may
or may not have served the call.
"""

import time
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError

PAUSE = 0.1


def ask(question: Callable[[], Any], timeout: float, *, sent: Any = None) -> Any:
    """The answer to a call that does no harm when it is served twice.

    `question` sends the call and gives its reference, as in `ask(actor.ping.remote, 5.0)`; `sent`
    is the reference of one that is on its way already.

    Raises `GetTimeoutError` after `timeout` seconds, and what else Ray raises for the call.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return ray.get(sent or question(), timeout=max(deadline - time.monotonic(), 0.0))
        except ActorUnavailableError:
            sent = None
            if time.monotonic() + PAUSE > deadline:
                raise
        time.sleep(PAUSE)
