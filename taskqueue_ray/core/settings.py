"""Every setting of the product: its name, meaning, unit, limits and default, in one place."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from taskqueue_ray.core.errors import InvalidOption, InvalidSetting
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.retention import Retention, parse_retention
from taskqueue_ray.core.timing import parse_duration
from taskqueue_ray.core.zones import zone

KIB = 1024
MIB = 1024 * KIB
Switch = Literal["on", "off"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The resolved settings of one process. Sizes are in bytes and times in seconds unless said.

    `given` are the names of those that a source gave; the others are defaults.
    """

    storage: Annotated[
        str | None, Meta(description="The queue's folder; by default one of its name in ~/.local")
    ] = None
    name: Annotated[str, Meta(description="The queue system's name: of its folder")] = "default"
    address: Annotated[
        str | None,
        Meta(description="The Ray cluster: 'auto', 'local' for one of our own, or an address"),
    ] = None
    encryption_keys: Annotated[
        tuple[str, ...], Meta(description="The keyring; the first key seals, all open")
    ] = ()
    key_file: Annotated[
        str | None, Meta(description="A file of mode 0600 with the keys, when none are set")
    ] = None
    app: Annotated[
        tuple[str, ...], Meta(description="Modules that define jobs, for workers to import")
    ] = ()
    concurrency: Annotated[int, Meta(ge=1, le=1024, description="Executors of one worker")] = 1
    min_workers: Annotated[int, Meta(ge=0, le=10_000, description="Workers kept running")] = 1
    max_workers: Annotated[
        int, Meta(ge=1, le=10_000, description="Workers that may run at most")
    ] = 10
    memory_limit: (
        Annotated[
            int,
            Meta(
                ge=16,
                description="MiB of private memory above its start after which an executor is "
                "replaced; unset, there is no limit",
            ),
        ]
        | None
    ) = None
    max_jobs: (
        Annotated[int, Meta(ge=1, description="Jobs after which an executor is replaced")] | None
    ) = None
    max_age: (
        Annotated[float, Meta(gt=0, description="Age at which an executor is replaced")] | None
    ) = None
    timeout: Annotated[
        float, Meta(gt=0, description="Run time allowed to a job that names none")
    ] = 3600.0
    cancel_grace: Annotated[
        float,
        Meta(
            ge=0,
            description="Time to stop that a cancelled job has before it is killed, when it names "
            "none",
        ),
    ] = 5.0
    lease_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="Term of a lease that is not renewed")
    ] = 30.0
    max_losses: Annotated[
        int, Meta(ge=1, le=100, description="Vanished workers after which a job is quarantined")
    ] = 5
    max_payload: Annotated[
        int, Meta(ge=KIB, le=1024 * MIB, description="Largest payload or result")
    ] = 64 * MIB
    inline_payload: Annotated[
        int,
        Meta(
            ge=KIB,
            le=MIB,
            description="Sealed payloads and results above this size are files beside the journal",
        ),
    ] = 128 * KIB
    max_batch: Annotated[int, Meta(ge=1, le=100_000, description="Jobs in one call at most")] = (
        10_000
    )
    max_depth: Annotated[int, Meta(ge=1, description="Jobs that wait in one queue at most")] = (
        10_000_000
    )
    remember_seconds: Annotated[
        float, Meta(ge=60, description="How long ids of finished jobs are remembered at hand")
    ] = 86_400.0
    segment_bytes: Annotated[
        int, Meta(ge=64 * KIB, le=1024 * MIB, description="Size of a journal segment")
    ] = 64 * MIB
    ballast_bytes: Annotated[
        int, Meta(ge=0, le=1024 * MIB, description="Space kept to settle jobs on a full disk")
    ] = 16 * MIB
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="What is logged")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="How a line of the log looks")
    ] = "text"
    ray_metrics: Annotated[
        Literal["on", "off"],
        Meta(description="Whether the queue's metrics are on Ray's endpoint for Prometheus too"),
    ] = "on"
    retention: Annotated[
        Retention | None,
        Meta(
            description="How long jobs that have ended are kept: a duration, for all but dead "
            "letters, or one for each state, as in `completed=7d, failed=30d`; unset, for good"
        ),
    ] = None
    alerts: Annotated[
        Switch,
        Meta(description="Whether an actor watches over the queue, judges rules and tells of them"),
    ] = "on"
    alert_interval: Annotated[
        float, Meta(ge=0.1, le=600, description="From one look of that actor to the next")
    ] = 5.0
    timezone: Annotated[
        str, Meta(description="The IANA time zone in which schedules that name none are meant")
    ] = "UTC"
    given: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={f'<{len(self.encryption_keys)} hidden>' if name in SECRET else value!r}"
            for name in NAMES
            for value in (getattr(self, name),)
        )
        return f"Settings({shown})"


SECRET = frozenset(("encryption_keys",))
NAMES = tuple(name for name in Settings.__struct_fields__ if name != "given")
ORIGINAL_NAMES = {
    "DB_PATH": "storage",
    "ENCRYPTION_KEY": "encryption_keys",
    "MAX_WORKERS": "max_workers",
    "WORKER_MAX_JOBS": "max_jobs",
    "WORKER_MEMORY_LIMIT": "memory_limit",
    "WORKER_TIMEOUT": "timeout",
}
"""Variables of the original tool, and the settings that they stand for."""

_LISTS = frozenset(("app", "encryption_keys"))
_DURATIONS = frozenset(
    ("timeout", "max_age", "cancel_grace", "lease_seconds", "remember_seconds", "alert_interval")
)


def resolve(sources: Iterable[Mapping[str, object]]) -> Settings:
    """The settings that the sources give together; a later source wins, None says nothing.

    Raises `InvalidSetting`, which never repeats a secret.

    >>> resolve([{"concurrency": "4"}, {"concurrency": 8, "timeout": "5m"}]).concurrency
    8
    """
    merged: dict[str, Any] = {}
    for source in sources:
        for name, value in source.items():
            if name not in NAMES:
                raise InvalidSetting(name, f"there is no such setting; known: {', '.join(NAMES)}")
            if value is not None:
                merged[name] = _prepared(name, value)
    settings = _converted(merged)
    if settings.min_workers > settings.max_workers:
        raise InvalidSetting("min_workers", f"it is above max_workers, {settings.max_workers}")
    return settings


def _prepared(name: str, value: object) -> object:
    if name in _LISTS:
        return _listed(name, value)
    try:
        if name in _DURATIONS:
            return parse_duration(value, name)
        if name == "name":
            return check_name(name, value)
        if name == "timezone":
            return zone(str(value)).key
        if name == "retention":
            return parse_retention(value)
    except InvalidOption as refusal:
        problem = f"{refusal.fields['value']} is not {refusal.fields['accepts']}"
        raise InvalidSetting(name, problem) from None
    if isinstance(value, bool):
        raise InvalidSetting(name, "true and false are no values of it")
    return str(value) if hasattr(value, "__fspath__") else value


def _listed(name: str, value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise InvalidSetting(name, "it is a list of texts, or text with commas")
    return tuple(item.strip() for item in items if item.strip())


def _converted(merged: dict[str, Any]) -> Settings:
    for name, value in merged.items():
        try:
            msgspec.convert({name: value}, Settings, strict=False)
        except msgspec.ValidationError as problem:
            shown = "its value" if name in SECRET else ascii(value)[:80]
            reason = str(problem).split(" - at")[0]
            raise InvalidSetting(name, f"{shown} is refused: {reason}") from None
    settings = msgspec.convert(merged, Settings, strict=False)
    return msgspec.structs.replace(settings, given=frozenset(merged))
