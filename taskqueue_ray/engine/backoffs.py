"""Backoff functions of a job type's own: `@tq.job(backoff=...)` with a callable.

They are code, so they live with the job type and are asked in the executor, after an attempt.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.naming import exception_name
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.core.timing import Duration, parse_duration

BackoffFunction = Callable[[int, BaseException], Duration | None]
"""From the number of the attempt that failed, from 1, and its exception, to the wait before the
next one. None leaves it to the default policy.
"""

_INSTEAD = "the default backoff was used"
_OURS = "taskqueue_ray.sdk."
_ACCEPTS = (
    "tq.Backoff.exponential(...), .linear(...), .fixed(...), or a function of the attempt's "
    "number and its exception that returns a duration or None"
)


def options_of_type(given: Mapping[str, object]) -> tuple[JobOptions, BackoffFunction | None]:
    """The options of a job type, and its backoff function when it was given one.

    Raises `InvalidOption`.
    """
    function = given.get("backoff")
    if isinstance(function, staticmethod):
        function = function.__func__
    if isinstance(function, type) or not callable(function):
        return JobOptions().but(given), None
    _check(function)
    others = {name: value for name, value in given.items() if name != "backoff"}
    return msgspec.structs.replace(JobOptions().but(others), own_backoff=True), function


def _check(function: Callable[..., Any]) -> None:
    shown = ascii(function)[:80]
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidOption("backoff", f"{shown}, which is async or a generator", _ACCEPTS)
    if str(getattr(function, "__module__", "")).startswith(_OURS):
        raise InvalidOption("backoff", f"{shown}, which was not called", _ACCEPTS)
    try:
        inspect.signature(function).bind(1, ValueError())
    except TypeError as problem:
        raise InvalidOption("backoff", f"{shown}: {problem}", _ACCEPTS) from None
    except ValueError:
        pass  # a built-in that does not say what it takes


class Wait(NamedTuple):
    """What a backoff function said. `seconds` None: the default policy decides.

    `problem` says why its answer could not be used; empty when it could.
    """

    seconds: float | None
    problem: str = ""


def ask(function: BackoffFunction, attempt: int, error: BaseException) -> Wait:
    """The wait after that attempt. Raises nothing: no job is stuck because of its backoff."""
    try:
        answer = function(attempt, error)
    except BaseException as problem:
        return Wait(None, f"its backoff function raised {_told(problem)}; {_INSTEAD}")
    try:
        return Wait(None if answer is None else parse_duration(answer, "backoff"))
    except InvalidOption as refusal:
        shown, accepts = refusal.fields["value"], refusal.fields["accepts"]
        return Wait(None, f"its backoff function returned {shown}, not {accepts}; {_INSTEAD}")
    except BaseException:  # how a value is shown is code of its own too
        return Wait(None, f"its backoff function returned no duration; {_INSTEAD}")


def _told(problem: BaseException) -> str:
    try:
        return f"{exception_name(type(problem))}: {problem}"
    except BaseException:  # and so is the text of an exception
        return exception_name(type(problem))
