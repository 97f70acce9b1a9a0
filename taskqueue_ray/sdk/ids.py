"""Ids of new jobs, which the client chooses: a call that is repeated names the same job."""

import os
import threading
import time

from taskqueue_ray.core.identity import make_job_id, to_text
from taskqueue_ray.core.model import JobId

_DRAW = 9
_POOL = _DRAW * 512


class IdSource:
    """Draws ids. One read of the system's randomness serves many of them."""

    def __init__(self) -> None:
        self._local = threading.local()

    def draw(self) -> JobId:
        """A new id for now."""
        pool = self._local.__dict__.get("pool")
        if not pool:
            pool = self._local.pool = _fresh_pool()
        return make_job_id(time.time(), pool.pop())

    def forget(self) -> None:
        """Drop what was drawn ahead, which a forked child must not share."""
        self._local = threading.local()


def _fresh_pool() -> list[bytes]:
    block = os.urandom(_POOL)
    return [block[start : start + _DRAW] for start in range(0, _POOL, _DRAW)]


source = IdSource()
os.register_at_fork(after_in_child=source.forget)


def new_id() -> str:
    """An id for a job that is yet to be enqueued: `send.options(id=new_id()).enqueue(...)`.

    Keep it to enqueue the same job again without making a second one.
    """
    return to_text(source.draw())
