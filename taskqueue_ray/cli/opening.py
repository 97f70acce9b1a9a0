"""How commands come to their queue: those that only look need no Ray when nobody owns it."""

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taskqueue_ray.cli.failures import is_verbose
from taskqueue_ray.cli.render import warn
from taskqueue_ray.core.errors import InvalidSetting
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine import logs
from taskqueue_ray.engine.configuration import configure, keyring_of
from taskqueue_ray.engine.keyring import key_file_path
from taskqueue_ray.engine.ownership import live_owner, location_of
from taskqueue_ray.sdk.client import TaskQueue

if TYPE_CHECKING:
    from taskqueue_ray.cluster.bootstrap import Connection


def settings_of(storage: str | None, address: str | None = None, **given: object) -> Settings:
    """The settings of a command: files, variables, and what it was given."""
    settings = configure({"storage": storage, "address": address, **given})
    logs.set_up("debug" if is_verbose() else settings.log_level, settings.log_format)
    return settings


@contextmanager
def reader(settings: Settings) -> Iterator[TaskQueue]:
    """The queue to look at: its live owner's, or else its folder as it lies there."""
    location = location_of(settings)
    elsewhere = location.kind != "folder" or settings.address not in (None, "local")
    if elsewhere or live_owner(location, settings) is not None:
        with client(settings) as (queue, _):
            yield queue
        return
    from taskqueue_ray.sdk.reading import open_for_reading

    with open_for_reading(settings) as queue:
        yield queue


@contextmanager
def client(settings: Settings, *, output: bool = False) -> "Iterator[tuple[TaskQueue, Connection]]":
    """The queue to work with; started when it does not run. `output` shows what jobs print."""
    quiet_ray(output=output)
    fresh = keyring_of(settings) is None
    from taskqueue_ray.cluster.quiet import hush
    from taskqueue_ray.sdk.connection import attach

    if not output:
        hush()
    queue, found = attach(settings)
    if fresh:
        warn(f"a new encryption key was made: {key_file_of(settings)}; keep a copy of it")
    with queue:
        yield queue, found


def quiet_ray(*, output: bool) -> None:
    """Ray's own notices are no business of a command's user. Before Ray is imported."""
    os.environ.setdefault("RAY_LOG_TO_DRIVER", "1" if output else "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    logging.getLogger("ray").setLevel(logging.ERROR)


def key_file_of(settings: Settings) -> Path:
    """Where the key is, when no variable holds it."""
    if settings.key_file:
        return Path(settings.key_file).expanduser()
    return key_file_path(os.environ)


def look_for(modules: tuple[str, ...]) -> None:
    """Let the application be found from here, and refuse modules that are not there."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise InvalidSetting("app", f"there is no module {module!r} (looked in {here} too)")
