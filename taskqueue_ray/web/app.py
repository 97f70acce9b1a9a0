"""The application: routes behind a guard, on one queue. An ASGI app, to serve or to mount."""

import importlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from taskqueue_ray._version import VERSION
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.engine.registry import SHIPPED_MODULE
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.web import api, exposition, pages, problems, streams
from taskqueue_ray.web.api.description import completed
from taskqueue_ray.web.guard import Guard
from taskqueue_ray.web.options import WebOptions
from taskqueue_ray.web.pages import faults
from taskqueue_ray.web.site import Site

STATIC = Path(__file__).parent / "static"


class WebApp:
    """What `create_app` makes: an ASGI application. `site` is what its routes share."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.routes = _routes(site)
        self._guard: ASGIApp = Guard(
            self.routes, site.options, site.sessions, site.attempts, site.clock
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._guard(scope, receive, send)


def create_app(
    queue: TaskQueue, options: WebOptions, clock: Callable[[], float] = time.time
) -> WebApp:
    """The web application of a queue. The connection stays the caller's, to close after it.

    >>> app = create_app(q, WebOptions(operator_token=token))  # doctest: +SKIP
    >>> other.mount("/queue", app)  # doctest: +SKIP
    """
    for module in (*options.app, SHIPPED_MODULE):
        importlib.import_module(module)
    return WebApp(Site(queue, options, clock))


def _routes(site: Site) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await site.poller.stop()

    app = FastAPI(
        title="taskqueue-ray",
        version=VERSION,
        summary="A durable job queue on Ray: enqueue, watch, cancel and redrive jobs.",
        openapi_url=f"{api.PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    app.state.site = site
    app.include_router(api.router())
    app.include_router(exposition.router)
    app.include_router(streams.router)
    app.include_router(pages.router())
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _handle_errors(app)
    describe = app.openapi
    health = f"{api.PREFIX}/health"
    app.openapi = lambda: completed(describe(), health)  # type: ignore[method-assign]  # its own way
    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(TaskQueueError)
    async def of_queue(request: Request, error: Exception) -> Response:
        assert isinstance(error, TaskQueueError)
        if problems.is_for_programs(request):
            return problems.problem_of(error)
        return faults.page_of(request, error)

    @app.exception_handler(RequestValidationError)
    async def of_request(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        if problems.is_for_programs(request):
            return problems.problem_of_validation(error)
        return faults.page_of_status(request, 400, "That address does not make sense here.")

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if problems.is_for_programs(request):
            return problems.problem_of_http(error)
        return faults.page_of_status(request, error.status_code, str(error.detail))
