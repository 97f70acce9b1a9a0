"""`taskqueue up` and `taskqueue down`: the queue and its workers as a service of a Ray cluster."""

import signal
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from taskqueue_ray.cli.dashboard import beside, parse_address
from taskqueue_ray.cli.opening import client, look_for, settings_of
from taskqueue_ray.cli.options import Address, Storage
from taskqueue_ray.cli.pools import (
    App,
    Concurrency,
    CoolDown,
    ShapeOption,
    Wait,
    Workers,
    options_of,
    words_of,
)
from taskqueue_ray.cli.render import say, warn
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.ownership import live_owner, location_of
from taskqueue_ray.sdk.client import TaskQueue

if TYPE_CHECKING:
    from taskqueue_ray.cluster.bootstrap import Connection

DEFAULT = "default"
"""The pool that `up` sets."""

PATIENCE = 60.0
TERM_PATIENCE = 25.0
"""Seconds that running jobs get after a signal; service managers kill soon after."""

LOOK = 0.2


def up(
    queues: Annotated[list[str] | None, typer.Argument(metavar="[QUEUE]...")] = None,
    *,
    workers: Workers = None,
    concurrency: Concurrency = None,
    target_wait: Wait = None,
    cool_down: CoolDown = None,
    shape: ShapeOption = None,
    foreground: Annotated[
        bool,
        typer.Option("--foreground", help="Stay until Ctrl-C or SIGTERM; start a Ray if none runs"),
    ] = False,
    dashboard: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve the web page too; with --foreground"),
    ] = None,
    app: App = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Serve the queue on the running Ray cluster, with workers that come and go as jobs do.

    Without a cluster, `--foreground` starts one that lives as long as this command.
    """
    if dashboard is not None:
        parse_address(dashboard)
        if not foreground:
            accepts = "--foreground beside it; or run `taskqueue dashboard serve`"
            raise InvalidOption("dashboard", ascii(dashboard)[:80], accepts)
    settings = settings_of(storage, address, app=app or None)
    if settings.address is None and not foreground and not _is_served(settings):
        # A cluster that this command started would end with it.
        settings = settings_of(storage, "auto", app=app or None)
    look_for(settings.app)
    given = options_of(queues, workers, concurrency, target_wait, cool_down, shape)
    if workers is None:
        given |= {"min": 0, "max": settings.max_workers}
    given.setdefault("concurrency", settings.concurrency)
    with client(settings, output=foreground) as (found, connection):
        if not foreground:
            _check_lasting(connection)
        for one in found.pools.list():
            if one.pool is not None and one.name != DEFAULT:
                found.pools.resume(one.name)
        say(words_of(found.pools.set(DEFAULT, **given)))
        _print_next(found, connection)
        if foreground:
            page = nullcontext() if dashboard is None else beside(found, settings, dashboard)
            with page:
                _stay(found, connection)


def down(
    timeout: Annotated[
        float, typer.Option(help="Seconds that running jobs get before they are given back")
    ] = PATIENCE,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Let the workers of all pools finish, and stop the queue. Ray goes on; pools are kept."""
    settings = settings_of(storage, address)
    if not _is_served(settings):
        say("it is down")
        return
    with client(settings) as (found, connection):
        _check_lasting(connection)
        _end(found, connection, timeout)
    say("down: jobs and pools are kept; `taskqueue up` goes on with them")


def _is_served(settings: Settings) -> bool:
    return live_owner(location_of(settings), settings) is not None


def _check_lasting(connection: "Connection") -> None:
    if connection.ping.embedded:
        raise InvalidRequest(
            "this queue lives in another program and ends with it: stop that program; to serve it "
            "beyond that, start a cluster with `ray start --head`, or use `up --foreground`"
        )


def _print_next(found: TaskQueue, connection: "Connection") -> None:
    say(f"queue: {found.location}, on node {connection.ping.node[:8]} of this Ray cluster")
    say("next: `taskqueue status`, `taskqueue test`, `tq.connect()` in a program; then "
        "`taskqueue down`", "dim")  # fmt: skip


def _stay(found: TaskQueue, connection: "Connection") -> None:
    stop = threading.Event()
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        say("serving; Ctrl-C ends it")
        stop.wait()
        _end(found, connection, TERM_PATIENCE)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(found: TaskQueue, connection: "Connection", patience: float) -> None:
    """Let the workers of all pools finish, then stop the queue. What is stored stays."""
    say("draining: running jobs end")
    for one in found.pools.list():
        if one.pool is not None:
            found.pools.suspend(one.name)
    if not _is_empty_within(found, patience):
        warn(f"after {patience:g} s some jobs still run: they are given back")
    connection.stop()


def _is_empty_within(found: TaskQueue, seconds: float) -> bool:
    """Whether all stored pools let their workers go in that time."""
    deadline = time.monotonic() + seconds
    while any(one.pool and ":" not in one.pool for one in found.worker_health()):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True
