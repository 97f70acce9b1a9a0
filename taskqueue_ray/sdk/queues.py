"""`q.queues`: settings of single queues, and what is paused."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import UNSET

from taskqueue_ray.core.commands import Configure
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import QueueSettings
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.retention import Retention, parse_retention
from taskqueue_ray.core.timing import Duration
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.records import moment
from taskqueue_ray.sdk.requests import Ask

UNCHANGED: Any = object()


class PauseRecord(NamedTuple):
    """A pause of a queue, a type or a tag."""

    kind: str
    name: str
    since: datetime | None


class ControlRecord(NamedTuple):
    """All that operators have set: what is paused, and the settings of queues that have any."""

    paused: list[PauseRecord]
    settings: Mapping[str, QueueSettings]


class Queues:
    """What operators set. All of it is stored with the queue and holds for the whole cluster."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def configure(
        self,
        queue: str,
        *,
        max_depth: int | None = UNCHANGED,
        weights: Mapping[str, float] = UNCHANGED,
        retention: Duration | Mapping[str, Duration | None] | None = UNCHANGED,
        concurrency: int | None = UNCHANGED,
    ) -> QueueSettings:
        """Change settings of one queue; what is not named stays. Returns what holds now.

        `max_depth` is how many jobs may wait in it (None: as in all queues); enqueueing more raises
        `QueueFull`. `weights` are those of fair keys: a tenant with weight 3 has three turns for
        one of a tenant that is not named; 0.1 to 1000. `retention` is for how long its ended jobs
        are kept, if not for as long as the setting of that name says (None: as that says): a
        duration, for all but dead letters, or one for each state, `"forever"` included.
        `concurrency` is how many of its jobs run at a time in the whole cluster (None: any number).

        >>> q.queues.configure("mail", max_depth=10_000, weights={"gold": 3})  # doctest: +SKIP
        >>> q.queues.configure("mail", retention={"failed": "30d"})  # doctest: +SKIP
        """
        check_name("queue", queue)
        depth = UNSET if max_depth is UNCHANGED else _depth(max_depth)
        shares = UNSET if weights is UNCHANGED else _weights(weights)
        kept = UNSET if retention is UNCHANGED else _retention(retention)
        at_once = UNSET if concurrency is UNCHANGED else _concurrency(concurrency)
        command = Configure(queue, depth, shares, kept, at_once)
        settings: QueueSettings = self._ask(requests.configure(command))
        return settings

    def settings(self, queue: str) -> QueueSettings:
        """What a queue has of its own."""
        return self.all_settings().get(check_name("queue", queue), QueueSettings())

    def all_settings(self) -> Mapping[str, QueueSettings]:
        """The same of each queue that has any, by its name."""
        found: Mapping[str, QueueSettings] = self._ask(requests.controls()).settings
        return found

    def paused(self) -> list[PauseRecord]:
        """What is paused, the oldest first."""
        return self.controls().paused

    def controls(self) -> ControlRecord:
        """What is paused and the settings of all queues, in one question."""
        found = self._ask(requests.controls())
        paused = [PauseRecord(kind, name, moment(since)) for kind, name, since in found.pauses]
        return ControlRecord(paused, found.settings)

    async def aconfigure(self, queue: str, **settings: Any) -> QueueSettings:
        """`configure` for async code."""
        return await asyncio.to_thread(lambda: self.configure(queue, **settings))

    async def apaused(self) -> list[PauseRecord]:
        """`paused` for async code."""
        return await asyncio.to_thread(self.paused)


def what(queue: str | None, type_name: str | None, tag: str | None) -> tuple[str, str]:
    """The one of these that is named, with its kind."""
    named = [
        (kind, name)
        for kind, name in (("queue", queue), ("type", type_name), ("tag", tag))
        if name is not None
    ]
    if len(named) != 1:
        given = ", ".join(kind for kind, _ in named) or "nothing"
        raise InvalidOption("pause", given, "one of a queue, type=... and tag=...")
    return named[0]


def _depth(value: object) -> int | None:
    if value is None or (type(value) is int and value >= 0):
        return value
    raise InvalidOption("max_depth", ascii(value)[:80], "a whole number from 0, or None")


def _concurrency(value: object) -> int | None:
    if value is None or (type(value) is int and value >= 1):
        return value
    accepts = "a whole number from 1, or None; to start nothing, pause the queue"
    raise InvalidOption("concurrency", ascii(value)[:80], accepts)


def _retention(value: object) -> Retention | None:
    return None if value is None else parse_retention(value)


def _weights(value: object) -> dict[str, float]:
    if isinstance(value, Mapping) and all(
        isinstance(key, str) and type(weight) in (int, float) for key, weight in value.items()
    ):
        return {key: float(weight) for key, weight in value.items()}
    raise InvalidOption("weights", ascii(value)[:80], "numbers by fair key")
