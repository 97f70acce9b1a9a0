"""How a run ended, as a value: what job code raised becomes an outcome."""

import time
import traceback
from types import TracebackType

from taskqueue_ray.core.errors import KeyMissing, QueueClosed, SealBroken, Unavailable
from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.model import Failure, Options
from taskqueue_ray.core.naming import exception_name
from taskqueue_ray.engine.backoffs import BackoffFunction, ask
from taskqueue_ray.engine.context import Cancel, Fail, Retry, Snooze, WaitFor
from taskqueue_ray.engine.payload import Sealer, seal_error
from taskqueue_ray.executor.runs import Run

_OURS = ("taskqueue_ray.executor.", "taskqueue_ray.engine.")

TIMEOUT = "JobTimeout"
"""The error type of a run that was stopped at its time limit, by its executor or its worker."""


class Endings:
    """Makes the outcomes of runs that did not complete, their words sealed."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer

    def unopened(self, job: Run, error: BaseException) -> Outcome:
        """The run did not come to the job's own code, or its large result could not be kept."""
        if isinstance(error, KeyMissing | Unavailable | QueueClosed):
            # Not the job's fault: it goes back and is charged nothing.
            return job.outcome(OutcomeKind.RELEASED, Failure("key", exception_name(type(error))))
        return job.outcome(
            OutcomeKind.ERRORED, self._failure(job, error), final=isinstance(error, SealBroken)
        )

    def raised(
        self, job: Run, error: BaseException, backoff: BackoffFunction | None = None
    ) -> Outcome:
        """The job's own code, or what became of its result, raised.

        `backoff` is its type's own function, which is asked when there is to be another attempt.
        """
        match error:
            case Snooze(seconds=wait):
                return job.outcome(OutcomeKind.SNOOZED, due=time.time() + wait)
            case WaitFor(ids=ids):
                return job.outcome(OutcomeKind.WAITING, awaited=ids)
            case Cancel(reason=reason):
                told = self._failure(job, error) if reason else None
                return job.outcome(OutcomeKind.CANCELLED, told)
            case Retry(seconds=wait):
                due, note = _due(job, error, backoff) if wait is None else (time.time() + wait, "")
                return job.outcome(OutcomeKind.ERRORED, self._failure(job, error, note), due=due)
            case _ if isinstance(error, Fail) or gives_up(job.options, error):
                return job.outcome(OutcomeKind.ERRORED, self._failure(job, error), final=True)
            case _:
                due, note = _due(job, error, backoff)
                return job.outcome(OutcomeKind.ERRORED, self._failure(job, error, note), due=due)

    def cancelled(self, job: Run) -> Outcome:
        """The job was cancelled from outside."""
        return job.outcome(OutcomeKind.CANCELLED)

    def timed_out(
        self, job: Run, error: BaseException, backoff: BackoffFunction | None = None
    ) -> Outcome:
        """A coroutine ran beyond its time limit and was stopped there."""
        message = f"stopped: it ran longer than its timeout of {job.options.timeout:g} s"
        due, note = _due(job, error, backoff)
        failure = Failure("timeout", TIMEOUT, self._sealed(job, message + note, ""))
        return job.outcome(OutcomeKind.ERRORED, failure, due=due)

    def _failure(self, job: Run, error: BaseException, note: str = "") -> Failure:
        detail = self._sealed(job, _message(error) + note, _traceback(error))
        return Failure("error", exception_name(type(error)), detail)

    def _sealed(self, job: Run, message: str, trace: str) -> bytes:
        if self._sealer is None:
            return b""
        return seal_error(self._sealer, job.grant.id, job.options.type, message, trace)


def _due(job: Run, error: BaseException, backoff: BackoffFunction | None) -> tuple[float, str]:
    """When to try again, by the function of the job's type, and what is to be noted of that.

    0: as the policy says.
    """
    options = job.options
    if backoff is None or not options.own_backoff or job.grant.attempt >= options.max_attempts:
        return 0.0, ""
    wait = ask(backoff, job.grant.attempt, error)
    note = f"\n({wait.problem})" if wait.problem else ""
    return (0.0 if wait.seconds is None else time.time() + wait.seconds), note


def gives_up(options: Options, error: BaseException) -> bool:
    """Whether an exception of this type is not to be tried again."""
    if not options.retry_on and not options.give_up_on:
        return False
    names = {
        exception_name(kind) for kind in type(error).__mro__ if issubclass(kind, BaseException)
    }
    if not names.isdisjoint(options.give_up_on):
        return True
    return bool(options.retry_on) and names.isdisjoint(options.retry_on)


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the job called sys.exit({error.code!r})"
    try:
        return "\n".join((str(error), *getattr(error, "__notes__", ())))
    except Exception:  # the text of an exception is the job's code too
        return f"{exception_name(type(error))} (its message cannot be shown)"


def _traceback(error: BaseException) -> str:
    """The frames of the job's own code, without the values of variables."""
    try:
        trace = _from_job(error.__traceback__)
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:
        return ""


def _from_job(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None:
        if not trace.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
            return trace
        trace = trace.tb_next
    return None
