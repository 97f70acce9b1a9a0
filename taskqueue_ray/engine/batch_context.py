"""What `tq.current()` is while one call runs the jobs of a batch."""

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.engine.context import NO_HEADERS, Channel, Context, RunningJob, facts_of


class BatchContext(Context):
    """The contexts of several jobs, as one. What only one job can have raises `InvalidRequest`."""

    __slots__ = ("_runs",)

    def __init__(self, channel: Channel, runs: Sequence[tuple[Grant, Options]]) -> None:
        self._channel = channel
        self._runs = runs
        self.headers = NO_HEADERS

    @property
    def jobs(self) -> tuple[RunningJob, ...]:
        """The facts of the jobs, in the order of the items."""
        return tuple(facts_of(grant, options) for grant, options in self._runs)

    @property
    def raw_id(self) -> JobId:
        """Not of a batch."""
        self._refuse("raw_id")

    def child_id(self, key: str | int) -> str:  # as for one job
        """Not of a batch."""
        self._refuse("child_id")

    def checkpoint(self, value: object = None) -> object:  # as for one job
        """Not of a batch."""
        self._refuse("checkpoint")

    @property
    def has_checkpoint(self) -> bool:
        """Not of a batch."""
        self._refuse("has_checkpoint")

    @property
    def single(self) -> JobId | None:
        """None: there are several."""
        return None

    @property
    def job(self) -> RunningJob:
        """Not of a batch."""
        self._refuse("job")

    @property
    def scheduled_for(self) -> datetime | None:
        """Not of a batch: see `jobs`."""
        self._refuse("scheduled_for")

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
        return all(self._channel.cancelled(grant.id) for grant, _ in self._runs)

    def progress(self, done: float, total: float = 0.0, message: str = "") -> None:
        """Not of a batch."""
        self._refuse("progress")

    def _refuse(self, what: str) -> NoReturn:
        raise InvalidRequest(
            f"tq.current().{what} is of one job, and this call runs {len(self._runs)}: see "
            "tq.current().jobs"
        )

    def __repr__(self) -> str:
        return f"<Context of a batch of {len(self._runs)} jobs>"
