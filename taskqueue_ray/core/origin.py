"""What a job that a schedule has fired carries: which one, for which time, and whose payload."""

from typing import Literal, Protocol

import msgspec

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
