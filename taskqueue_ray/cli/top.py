"""`taskqueue top`: a live view of the queue, to be left open all day."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from taskqueue_ray.cli.keys_pressed import Keys, open_keys
from taskqueue_ray.cli.opening import reader, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import clean, console, print_json
from taskqueue_ray.cli.top_screen import Look, overview
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.core.timing import parse_duration
from taskqueue_ray.engine.ownership import live_owner, location_of
from taskqueue_ray.sdk.client import TaskQueue

REFRESH = 1.0
REOPEN = 5.0
"""Seconds after which a storage that nobody serves, or that cannot be reached, is tried again."""

UNSERVED = "nobody serves the queue now: this is how it lies in its storage"

WINDOWS = (10.0, 60.0, 300.0, 900.0, 3600.0)
"""What the key `w` goes through."""

Draw = Callable[[Look, int, int], RenderableType]


def top(
    window: Annotated[str, typer.Option(help="Over how long rates and times are taken")] = "1m",
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Watch queues, rates, workers, the slowest types and failures; q ends, w changes the window.

    Where the output is no terminal it is shown once.
    """
    seconds = parse_duration(window, "window")
    settings = settings_of(storage, address)
    if console().is_terminal and not json:
        follow(settings, overview, seconds)
        return
    with reader(settings) as found:
        look = look_at(found, seconds)
        if json:
            print_json(_document(look))
        else:
            console().print(overview(look, console().width, 1_000))


def look_at(found: TaskQueue, window: float) -> Look:
    """One look at a queue."""
    return Look(
        time.time(), found.location, window, list(found.stats()),
        found.performance_metrics(window), list(found.worker_health()),
    )  # fmt: skip


def follow(settings: Settings, draw: Draw, window: float = 60.0) -> None:
    """Draw again each second until q or Ctrl-C; a queue that goes away is looked for again."""
    terminal = console()
    with (
        open_keys() as keys,
        Live(console=terminal, screen=True, auto_refresh=False) as live,
    ):
        # To reach a cluster takes seconds.
        live.update(Text(f"connecting to {clean(str(location_of(settings)))} …"), refresh=True)
        view = _View(terminal, live, draw, keys, window)
        while not view.over:
            try:
                _watch(settings, view)
            except TaskQueueError as error:
                view.trouble(str(error))
            except KeyboardInterrupt:
                return


def _watch(settings: Settings, view: "_View") -> None:
    served = live_owner(location_of(settings), settings) is not None
    until = time.monotonic() + REOPEN
    with reader(settings) as found:
        while not view.over and (served or time.monotonic() < until):
            look = look_at(found, view.window)
            view.show(look if served else replace(look, trouble=UNSERVED))


class _View:
    """What is on the terminal, and what its keys have changed."""

    def __init__(
        self, terminal: Console, live: Live, draw: Draw, keys: Keys, window: float
    ) -> None:
        self._terminal = terminal
        self._live = live
        self._draw = draw
        self._keys = keys
        self._last: Look | None = None
        self.window = window
        self.over = False

    def show(self, look: Look) -> None:
        """Draw it, and wait for a key until it is time for the next."""
        self._last = look
        size = self._terminal.size
        self._live.update(self._draw(look, size.width, size.height), refresh=True)
        match self._keys.wait(REFRESH):
            case "q" | "Q":
                self.over = True
            case "w":
                later = [one for one in WINDOWS if one > self.window]
                self.window = later[0] if later else WINDOWS[0]

    def trouble(self, text: str) -> None:
        """Say it above what was seen last."""
        if self._last is not None:
            self.show(replace(self._last, trouble=text))
        else:
            said = Text(clean(text), "yellow"), Text("looking again; q quit", "dim")
            self._live.update(Group(*said), refresh=True)
            self.over = self._keys.wait(REFRESH) in ("q", "Q")


def _document(look: Look) -> dict[str, Any]:
    performance = look.performance
    return {
        "storage": look.location,
        "seconds": performance.seconds,
        "queues": [one.row() for one in look.queues],
        "performance": performance.rows(),
        "workers": [one.row() for one in look.workers],
        "failures": performance.failures.rows(),
    }
