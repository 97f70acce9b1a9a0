"""What happens to executors that an operator may want to know of."""

from typing import Literal, NamedTuple

from taskqueue_ray.core.model import JobId

IncidentKind = Literal[
    "preload",
    "server",
    "fork",
    "timeout",
    "blocked",
    "cancel",
    "exit",
    "frozen",
    "call",
    "ray",
    "recycle",
]


class Incident(NamedTuple):
    """One such thing, in words, and the job that it is about when there is one."""

    kind: IncidentKind
    text: str
    job: JobId | None = None
