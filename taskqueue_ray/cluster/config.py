"""What actors are told at their creation: small, plain, and without secrets."""

import hashlib
from typing import Any, Literal

import msgspec

from taskqueue_ray.core.blobs import INLINE
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.retention import Retention
from taskqueue_ray.core.settings import Switch
from taskqueue_ray.engine.logs import Format, Level

NAMESPACE = "taskqueue"
"""The Ray namespace of all actors of this package."""

ACTOR_CPUS = 0.001
"""Actors hold a little of a CPU: the autoscaler neither overlooks nor removes their node."""

LEFT = "it has left"
"""What a worker answers that has drained and waits to be ended."""


class QueueConfig(msgspec.Struct, frozen=True):
    """For the queue actor. `embedded`: its cluster ends with the program that started it."""

    location: str
    cluster_id: str
    address: str
    embedded: bool = False
    bounds: Bounds = Bounds()
    segment_bytes: int = 64 << 20
    ballast_bytes: int = 16 << 20
    fold_rows: int = 100_000
    fold_age: float = 300.0
    log_level: Level = "info"
    log_format: Format = "text"
    key_file: str | None = None
    ray_metrics: Literal["on", "off"] = "on"
    alerts: Switch = "on"
    alert_interval: float = 5.0


def in_force(config: QueueConfig) -> dict[str, int | float | str | None]:
    """The settings that a running queue goes by, whatever its clients have, by their names."""
    return {
        **{name: shown(value) for name, value in msgspec.structs.asdict(config.bounds).items()},
        **{name: getattr(config, name) for name in _OF_THE_QUEUE},
    }


def shown(value: Any) -> int | float | str | None:
    """A setting as a queue tells it to others."""
    return (str(value) or None) if isinstance(value, Retention) else value


_OF_THE_QUEUE = (
    "segment_bytes", "ballast_bytes", "log_level", "log_format", "ray_metrics", "alerts",
    "alert_interval",
)  # fmt: skip


class WorkerConfig(msgspec.Struct, frozen=True):
    """For a worker actor. Sizes in bytes, times in seconds; None means without limit.

    `timeout` and `cancel_grace` are for jobs that name none. `memory_limit`, `max_jobs` and
    `max_age` are of one executor. `holds` is what the worker counts as for quotas, `shape` what it
    holds for each executor, in words. A worker of a stored `pool` that cannot import the
    application does not begin.
    """

    name: str
    queue_actor: str
    queues: tuple[str, ...]
    concurrency: int
    app: tuple[str, ...] = ()
    import_paths: tuple[str, ...] = ()
    timeout: float = 3600.0
    memory_limit: int | None = None
    max_jobs: int | None = None
    key_file: str | None = None
    max_result: int = 64 << 20
    inline: int = INLINE
    max_batch: int = 10_000
    detached: bool = False
    log_level: Level = "info"
    log_format: Format = "text"
    drain_seconds: float = 30.0
    cancel_grace: float = 5.0
    holds: dict[str, float] = {}
    max_age: float | None = None
    shape: str = ""
    pool: str = ""


class AlertConfig(msgspec.Struct, frozen=True):
    """For the alert actor of a queue. `interval` is in seconds, from one look to the next."""

    queue_actor: str
    location: str
    interval: float = 5.0
    key_file: str | None = None
    log_level: Level = "info"
    log_format: Format = "text"


def queue_actor_name(location: str, shard: int = 0) -> str:
    """The name of the actor that owns a storage; equal locations give equal names."""
    digest = hashlib.sha256(location.encode()).hexdigest()[:12]
    return f"queue:{digest}:{shard}"


def watch_of(config: QueueConfig) -> AlertConfig:
    """What the alert actor of a queue is told."""
    name = queue_actor_name(config.location)
    return AlertConfig(
        name, config.location, config.alert_interval, config.key_file, config.log_level,
        config.log_format,
    )  # fmt: skip


def alert_actor_name(location: str, shard: int = 0) -> str:
    """The name of the actor that watches over the queue of a storage."""
    return queue_actor_name(location, shard).replace("queue:", "alerts:", 1)


def pool_actor_name(queue_actor: str) -> str:
    """The name of the actor that looks after the stored pools of a queue."""
    return f"pool:{queue_actor.removeprefix('queue:')}"


def workers_prefix(queue_actor: str) -> str:
    """What the names of all workers of stored pools of a queue begin with."""
    return f"worker:{queue_actor.removeprefix('queue:')}:"


def worker_id(actor: str, incarnation: str) -> str:
    """The id of one life of a worker actor, new with every start of its process."""
    return f"{actor}:{incarnation}"


def actor_of(worker: str) -> str:
    """The name of the actor that a worker's id is of."""
    return worker.rpartition(":")[0]


class PoolActorConfig(msgspec.Struct, frozen=True):
    """For the pool actor."""

    queue_actor: str
    log_level: Level = "info"
    log_format: Format = "text"


def encode(config: QueueConfig | WorkerConfig | AlertConfig | PoolActorConfig) -> bytes:
    """A configuration as bytes."""
    return msgspec.msgpack.encode(config)


def decode_queue(data: bytes) -> QueueConfig:
    """The queue actor's configuration."""
    return msgspec.msgpack.decode(data, type=QueueConfig)


def decode_pool(data: bytes) -> PoolActorConfig:
    """The pool actor's configuration."""
    return msgspec.msgpack.decode(data, type=PoolActorConfig)


def decode_worker(data: bytes) -> WorkerConfig:
    """A worker's configuration."""
    return msgspec.msgpack.decode(data, type=WorkerConfig)


def decode_alerts(data: bytes) -> AlertConfig:
    """The alert actor's configuration."""
    return msgspec.msgpack.decode(data, type=AlertConfig)
