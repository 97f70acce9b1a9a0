"""One run of one job in an executor."""

import time

from taskqueue_ray.core.exchange import Grant, Outcome, OutcomeKind
from taskqueue_ray.core.model import Failure, JobId, Options


class Run:
    """A job that was handed to this executor. `began` is on the monotonic clock, once it runs."""

    __slots__ = ("began", "grant", "options", "ordinal")

    def __init__(self, ordinal: int, grant: Grant, options: Options) -> None:
        self.ordinal = ordinal
        self.grant = grant
        self.options = options
        self.began = 0.0

    def completed(self, result: bytes, ended: float) -> Outcome:
        """The outcome of a run whose code returned. Positional: this is the plain path."""
        grant = self.grant
        seconds = ended - self.began
        return Outcome(
            grant.id,
            grant.delivery,
            grant.lease,
            OutcomeKind.COMPLETED,
            result,
            time.time() - seconds,
            seconds,
        )

    def outcome(
        self,
        kind: OutcomeKind,
        failure: Failure | None = None,
        *,
        due: float = 0.0,
        final: bool = False,
        awaited: tuple[JobId, ...] = (),
    ) -> Outcome:
        """Another outcome, of a run that ends now."""
        grant = self.grant
        seconds = time.monotonic() - self.began
        return Outcome(
            grant.id,
            grant.delivery,
            grant.lease,
            kind,
            started_at=time.time() - seconds,
            seconds=seconds,
            failure=failure,
            due=due,
            final=final,
            awaited=awaited,
        )
