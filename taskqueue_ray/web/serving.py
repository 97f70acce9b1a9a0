"""Serving the application with uvicorn, until a signal."""

import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import uvicorn

from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.web.app import create_app
from taskqueue_ray.web.options import WebOptions

GRACE = 3
"""Seconds that open streams get at the end; they never end by themselves."""


class Server(uvicorn.Server):
    """Says which port it has when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._ready = ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in good order; at once when asked again. The signal goes to nobody else after it."""
        self.force_exit = self.force_exit or self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._ready(self.servers[0].sockets[0].getsockname()[1])


class Reach(NamedTuple):
    """Where the application listens, and what stands before it.

    `proxies` are the addresses of reverse proxies whose word on the visitor's address is taken.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxies: str | None = None
    root_path: str = ""


def server_of(
    queue: TaskQueue,
    options: WebOptions,
    reach: Reach,
    ready: Callable[[int], None] = lambda _: None,
) -> Server:
    """A server, to `run` until SIGINT or SIGTERM. `ready` is told the port."""
    config = uvicorn.Config(
        create_app(queue, options),
        host=reach.host,
        port=reach.port,
        root_path=reach.root_path,
        ssl_certfile=reach.tls_cert,
        ssl_keyfile=reach.tls_key,
        proxy_headers=reach.proxies is not None,
        forwarded_allow_ips=reach.proxies,
        timeout_graceful_shutdown=GRACE,
        server_header=False,
        log_config=None,
        access_log=False,
        lifespan="on",
    )
    return Server(config, ready)
