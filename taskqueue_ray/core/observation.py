"""What the queue says of itself to those that watch over it."""

import msgspec

from taskqueue_ray.core.alerts import Notice, Rule
from taskqueue_ray.core.exchange import QueueStats, WorkerView


class Unserved(msgspec.Struct, frozen=True, array_like=True):
    """Ready jobs of a queue that no worker would take; `reason` and `sentence` as in `why`."""

    queue: str
    jobs: int
    reason: str
    sentence: str


class Observation(msgspec.Struct, frozen=True, array_like=True):
    """The queue at one moment, in seconds since the epoch, by its own clock.

    `gauges` are further figures of `core.gauges`, and `counters` totals that only grow, each by
    queue; that of the whole has the name `""`.
    """

    at: float
    queues: list[QueueStats]
    workers: list[WorkerView]
    unserved: list[Unserved] = []
    gauges: dict[str, dict[str, float]] = {}
    counters: dict[str, dict[str, float]] = {}
    low_space: bool = False
    fold_problem: str = ""
    clock_jump: float = 0.0
    keys: list[str] = []
    """Ids of the keys that payloads are sealed with."""

    watched_ago: float | None = None
    """Seconds since the alert actor's last report, or since the opening; None when nobody knows."""


class Brief(msgspec.Struct, frozen=True, array_like=True):
    """What the alert actor is to do: judge these rules, and deliver these notices."""

    rules: list[Rule]
    notices: list[Notice]
    observation: Observation
