"""What a job that a schedule has fired carries: which one, for which time, and whose payload."""

from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.zones import local

By = Literal["", "now", "backfill"]


class FiredBy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The schedule that made a job, and the time `due`, in its `zone`, for which it did.

    `origin` is the id to which the payload is sealed: the schedule's, since the payload was sealed
    once and for all its jobs. `by` says who asked when it was not the clock: somebody who wanted a
    run `now`, or a `backfill`.
    """

    schedule: str
    origin: bytes
    due: float
    zone: str = "UTC"
    by: By = ""


class Carries(Protocol):
    """A job, or a grant of one."""

    @property
    def id(self) -> bytes: ...

    @property
    def fired(self) -> FiredBy | None: ...


def origin_of(job: Carries) -> bytes:
    """The id to which the payload of a job is sealed."""
    fired = job.fired
    return job.id if fired is None else fired.origin


def scheduled_for(fired: FiredBy | None) -> datetime | None:
    """The time for which a job was made, in the zone of its schedule; None: no schedule made it.

    >>> scheduled_for(FiredBy("nightly", b"", 1_800_000_000.0, "Europe/Berlin")).isoformat()
    '2027-01-15T09:00:00+01:00'
    """
    if fired is None:
        return None
    try:
        return local(fired.zone, fired.due)
    except InvalidOption:  # this machine knows fewer zones than the one that made the schedule
        return datetime.fromtimestamp(fired.due, UTC)
