"""What all routes share: the queue, the poll, who may what, and the record of actions."""

import time
from collections.abc import Callable
from contextlib import suppress

from fastapi import Request

from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.web.attempts import Attempts
from taskqueue_ray.web.audit import Audit
from taskqueue_ray.web.live import Poller
from taskqueue_ray.web.memory import Memory
from taskqueue_ray.web.options import WebOptions
from taskqueue_ray.web.sessions import Principal, Sessions


class Site:
    """One web application on one queue."""

    def __init__(
        self, queue: TaskQueue, options: WebOptions, clock: Callable[[], float] = time.time
    ) -> None:
        self.options = options
        self.clock = clock
        self.queue = queue.hurried(options.patience)
        self.poller = Poller(self.queue, clock)
        self.memory = Memory()
        self.audit = Audit(options.audit_file)
        self.sessions = Sessions(options)
        self.attempts = Attempts()

    def acted(self, request: Request, verb: str, target: str, outcome: str) -> None:
        """Somebody has changed something: it is written down, and pages show it from now on."""
        self.audit.record(self.clock(), who(request), address_of(request), verb, target, outcome)
        self.memory.forget()
        with suppress(TimeoutError):
            self.poller.look_again()


def site_of(request: Request) -> Site:
    """The site of a request."""
    found: Site = request.app.state.site
    return found


def principal_of(request: Request) -> Principal | None:
    """Who is asking; None on the few routes for everybody."""
    found: Principal | None = request.scope.get("state", {}).get("principal")
    return found


def who(request: Request) -> str:
    """The same for the record."""
    principal = principal_of(request)
    if principal is None:
        return "nobody"
    return f"{principal.role} {principal.session or 'by token'}"


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"
