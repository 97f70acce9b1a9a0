"""Outcomes that a worker makes itself: of jobs whose executor cannot speak for them any more."""

import signal
import time
from typing import Literal, NamedTuple

from taskqueue_ray.cluster.waiting import Ticket
from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.model import Failure
from taskqueue_ray.engine.payload import Sealer, seal_error
from taskqueue_ray.executor.endings import TIMEOUT

BLOCKED = "EventLoopBlocked"


class Ending(NamedTuple):
    """How an executor in Ray ended: the error type, and a sentence.

    `unfit`: it never came to life, and for the sake of what its jobs ask for it never will.
    """

    name: str
    words: str
    unfit: bool = False


class Verdicts:
    """Makes outcomes, their words sealed when the worker has a key."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer

    def timed_out(self, ticket: Ticket, seconds: float) -> Outcome:
        """It was killed at its time limit."""
        limit = ticket.options.timeout
        message = f"killed: it ran longer than its timeout of {limit:g} s"
        return self._failed(ticket, seconds, "timeout", TIMEOUT, message)

    def blocked(self, ticket: Ticket, seconds: float) -> Outcome:
        """It was killed because it kept the event loop from others whose time was up."""
        message = f"killed: it blocked the event loop for {seconds:.1f} s (await, or use a thread)"
        return self._failed(ticket, seconds, "timeout", BLOCKED, message)

    def died(self, ticket: Ticket, seconds: float, status: int | Ending | None) -> Outcome:
        """Its executor ended while it ran. `status` None: with its fork server."""
        name, message = how_it_ended(status)
        return self._failed(ticket, seconds, "exit", name, message)

    def cancelled(self, ticket: Ticket, seconds: float = 0.0) -> Outcome:
        """It was cancelled: before it began, or by a kill."""
        return _outcome(ticket, OutcomeKind.CANCELLED, seconds)

    def released(self, ticket: Ticket) -> Outcome:
        """It goes back to the queue, charged nothing."""
        return _outcome(ticket, OutcomeKind.RELEASED, 0.0)

    def _failed(
        self,
        ticket: Ticket,
        seconds: float,
        cause: Literal["timeout", "exit"],
        name: str,
        message: str,
    ) -> Outcome:
        detail = b""
        if self._sealer is not None:
            detail = seal_error(self._sealer, ticket.grant.id, ticket.options.type, message, "")
        failure = Failure(cause, name, detail)
        return _outcome(ticket, OutcomeKind.ERRORED, seconds, failure)


def how_it_ended(status: int | Ending | None) -> tuple[str, str]:
    """The error type and the sentence for the end of a process.

    >>> how_it_ended(-11)
    ('SIGSEGV', 'its process was ended by SIGSEGV')
    >>> how_it_ended(3)[0]
    'exit code 3'
    """
    if isinstance(status, Ending):
        return status.name, status.words
    if status is None:
        return "SIGKILL", "its process was ended together with the fork server of its worker"
    if status >= 0:
        return f"exit code {status}", f"its process exited with code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (perhaps by the kernel, for lack of memory)" if name == "SIGKILL" else ""
    return name, f"its process was ended by {name}{hint}"


def _outcome(
    ticket: Ticket, kind: OutcomeKind, seconds: float, failure: Failure | None = None
) -> Outcome:
    grant = ticket.grant
    return Outcome(
        grant.id,
        grant.delivery,
        grant.lease,
        kind,
        started_at=time.time() - seconds if seconds else 0.0,
        seconds=seconds,
        failure=failure,
    )
