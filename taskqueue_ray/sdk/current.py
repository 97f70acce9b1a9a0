"""The connection that a bare `.enqueue` uses."""

import threading
from typing import TYPE_CHECKING

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.engine.context import current_or_none

if TYPE_CHECKING:
    from taskqueue_ray.sdk.client import TaskQueue

_open: "list[TaskQueue]" = []
_lock = threading.Lock()


def client() -> "TaskQueue":
    """The one client that is open; inside a running job, the line of its executor.

    Raises `InvalidRequest` when there is none, or more than one.
    """
    context = current_or_none()
    if context is not None:
        from taskqueue_ray.sdk.inside import inside

        return inside(context.channel).client
    with _lock:
        if len(_open) == 1:
            return _open[0]
        count = len(_open)
    if count == 0:
        raise InvalidRequest("no queue is connected: `with tq.connect() as q:` first")
    raise InvalidRequest(
        f"{count} queues are connected: say which one, with q.enqueue(job, ...) instead of "
        "job.enqueue(...)"
    )


def opened(one: "TaskQueue") -> None:
    """A client was opened."""
    with _lock:
        _open.append(one)


def closed(one: "TaskQueue") -> None:
    """A client was closed."""
    with _lock:
        if one in _open:
            _open.remove(one)
