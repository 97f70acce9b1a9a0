"""A module of an application that installs middleware when an executor imports it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from taskqueue_ray.engine.context import Context, Fail, Snooze
from taskqueue_ray.engine.middleware import Middleware
from taskqueue_ray.engine.registry import use

_depth: ContextVar[int] = ContextVar("depth", default=0)
_ENDS = {"snooze": Snooze("5m"), "fail": Fail("for good"), "boom": LookupError("not welcome")}


class Telling(Middleware):
    """Tells through the job's progress what it saw, and does what the headers say."""

    @contextmanager
    def around(self, context: Context) -> Iterator[None]:
        depth = _depth.get() + 1
        _depth.set(depth)  # and never set back: the next job begins anew all the same
        context.progress(depth, context.attempt, context.job.type)
        if end := _ENDS.get(context.headers.get("end", "")):
            raise end
        yield


use(Telling())
