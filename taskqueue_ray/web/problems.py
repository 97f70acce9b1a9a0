"""Errors as RFC 9457 problems: which status each class has, in one table."""

import re
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from taskqueue_ray.core import errors
from taskqueue_ray.core.errors import TaskQueueError

MEDIA_TYPE = "application/problem+json"
SOON = "2"
"""Seconds after which to repeat what the queue could not answer."""

STATUS: tuple[tuple[type[TaskQueueError], int], ...] = (
    (errors.JobNotFound, 404),
    (errors.ScheduleNotFound, 404),
    (errors.AlertNotFound, 404),
    (errors.UnknownNode, 404),
    (errors.PayloadTooLarge, 413),
    (errors.BatchTooLarge, 413),
    (errors.InvalidRequest, 400),
    (errors.Conflict, 409),
    (errors.QueueFull, 429),
    (errors.StorageFull, 507),
    (errors.Unavailable, 503),
    (errors.CommitUnknown, 503),
    (errors.QueueClosed, 503),
    (errors.Fenced, 503),
    (errors.OwnedElsewhere, 503),
    (errors.ResultTimeout, 504),
    (TaskQueueError, 500),
)
"""The first class that fits. A 503 or 429 may be repeated with the same ids."""

_REPEATABLE = (429, 503, 507)


def status_of(error: TaskQueueError) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def problem(
    status: int, title: str, detail: str, kind: str = "about:blank", **more: Any
) -> JSONResponse:
    """A problem as a response."""
    body = {"type": kind, "title": title, "status": status, "detail": detail, **more}
    headers = {"Retry-After": SOON} if status in _REPEATABLE else None
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(error: TaskQueueError) -> JSONResponse:
    """The problem that an error of the queue is."""
    name = type(error).__name__
    kind = f"urn:taskqueue-ray:{_dashed(name)}"
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    more: dict[str, Any] = {"notes": notes} if notes else {}
    if suggestions := error.fields.get("suggestions"):
        more["suggestions"] = list(suggestions)
    return problem(status_of(error), _spaced(name), str(error), kind, **more)


def problem_of_validation(error: RequestValidationError) -> JSONResponse:
    """The problem of a request that does not fit the API's description."""
    faults = [
        {"where": ".".join(map(str, fault["loc"])), "problem": fault["msg"]}
        for fault in error.errors()
    ]
    words = "; ".join(f"{fault['where']}: {fault['problem']}" for fault in faults[:5])
    kind = "urn:taskqueue-ray:invalid-request"
    return problem(422, "Invalid request", words, kind, errors=faults[:50])


def problem_of_http(error: HTTPException) -> JSONResponse:
    """The problem of what the framework refuses."""
    made = problem(error.status_code, str(error.detail), str(error.detail))
    made.headers.update(error.headers or {})
    return made


def is_for_programs(request: Request) -> bool:
    """Whether the answer is read by a program."""
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path.startswith(("/api/", "/metrics", "/live"))


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _dashed(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
