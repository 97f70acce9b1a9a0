"""What `tq.current()` is while one call runs the jobs of a batch."""

from collections.abc import Sequence
from typing import NoReturn

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.model import JobId
from taskqueue_ray.engine.context import Channel, Context, RunningJob


class BatchContext(Context):
    """The contexts of several jobs, as one. What only one job can have raises `InvalidRequest`."""

    __slots__ = ("_contexts",)

    def __init__(self, channel: Channel, contexts: Sequence[Context]) -> None:
        self._channel = channel
        self._contexts = contexts

    @property
    def jobs(self) -> tuple[RunningJob, ...]:
        """The facts of the jobs, in the order of the items."""
        return tuple(context.job for context in self._contexts)

    @property
    def single(self) -> JobId | None:
        """None: there are several."""
        return None

    @property
    def job(self) -> RunningJob:
        """Not of a batch."""
        self._refuse("job")

    @property
    def attempt(self) -> int:
        """Not of a batch."""
        self._refuse("attempt")

    @property
    def queue(self) -> str:
        """Not of a batch: its jobs may come from several queues."""
        self._refuse("queue")

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for all of the jobs to be cancelled."""
        return all(context.cancelled for context in self._contexts)

    def progress(self, done: float, total: float = 0.0, message: str = "") -> None:
        """Not of a batch."""
        self._refuse("progress")

    def _refuse(self, what: str) -> NoReturn:
        raise InvalidRequest(
            f"tq.current().{what} is of one job, and this call runs {len(self._contexts)}: see "
            "tq.current().jobs"
        )

    def __repr__(self) -> str:
        return f"<Context of a batch of {len(self._contexts)} jobs>"
