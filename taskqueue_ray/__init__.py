"""The durable job queue that a Ray cluster is missing.

::

    core/      the behaviour of the queue, pure: model, life cycle, decide and apply
    storage/   durable bytes: journal, snapshots, history, ownership
    engine/    the queue as an object; keys, sealed payloads, job types
    executor/  what runs job code: a child process without Ray
    cluster/   the actors, and all that talks to Ray
    sdk/       what this module offers: jobs, clients, handles
    cli/       the command `taskqueue`
    jobs       jobs that ship with the package
    tracing    OpenTelemetry, for who installs it
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskqueue_ray import jobs as jobs
    from taskqueue_ray import tracing as tracing
    from taskqueue_ray.core.alerts import Threshold as Threshold
    from taskqueue_ray.core.batching import Batch as Batch
    from taskqueue_ray.core.claims import Unique as Unique
    from taskqueue_ray.core.errors import AlertNotFound as AlertNotFound
    from taskqueue_ray.core.errors import AmbiguousPhrase as AmbiguousPhrase
    from taskqueue_ray.core.errors import BatchEnded as BatchEnded
    from taskqueue_ray.core.errors import CommitUnknown as CommitUnknown
    from taskqueue_ray.core.errors import Conflict as Conflict
    from taskqueue_ray.core.errors import DuplicateJob as DuplicateJob
    from taskqueue_ray.core.errors import InvalidArguments as InvalidArguments
    from taskqueue_ray.core.errors import InvalidOption as InvalidOption
    from taskqueue_ray.core.errors import InvalidRequest as InvalidRequest
    from taskqueue_ray.core.errors import JobCancelled as JobCancelled
    from taskqueue_ray.core.errors import JobExpired as JobExpired
    from taskqueue_ray.core.errors import JobFailed as JobFailed
    from taskqueue_ray.core.errors import JobNotFound as JobNotFound
    from taskqueue_ray.core.errors import KeyMissing as KeyMissing
    from taskqueue_ray.core.errors import LimitConflict as LimitConflict
    from taskqueue_ray.core.errors import LimitTimeout as LimitTimeout
    from taskqueue_ray.core.errors import PayloadTooLarge as PayloadTooLarge
    from taskqueue_ray.core.errors import PhraseNotUnderstood as PhraseNotUnderstood
    from taskqueue_ray.core.errors import QueueClosed as QueueClosed
    from taskqueue_ray.core.errors import QueueFull as QueueFull
    from taskqueue_ray.core.errors import QuotaBelowWorker as QuotaBelowWorker
    from taskqueue_ray.core.errors import ResultTimeout as ResultTimeout
    from taskqueue_ray.core.errors import ScheduleChanged as ScheduleChanged
    from taskqueue_ray.core.errors import ScheduleExists as ScheduleExists
    from taskqueue_ray.core.errors import ScheduleNotFound as ScheduleNotFound
    from taskqueue_ray.core.errors import StorageCorrupt as StorageCorrupt
    from taskqueue_ray.core.errors import StorageFull as StorageFull
    from taskqueue_ray.core.errors import TaskQueueError as TaskQueueError
    from taskqueue_ray.core.errors import Unavailable as Unavailable
    from taskqueue_ray.core.errors import UnknownCapability as UnknownCapability
    from taskqueue_ray.core.errors import UnknownNode as UnknownNode
    from taskqueue_ray.core.exchange import BatchSummary as BatchSummary
    from taskqueue_ray.core.lifecycle import JobState as JobState
    from taskqueue_ray.core.limiting import Limit as Limit
    from taskqueue_ray.engine.context import Cancel as Cancel
    from taskqueue_ray.engine.context import Fail as Fail
    from taskqueue_ray.engine.context import Retry as Retry
    from taskqueue_ray.engine.context import Snooze as Snooze
    from taskqueue_ray.engine.context import WaitFor as WaitFor
    from taskqueue_ray.engine.context import current as current
    from taskqueue_ray.engine.middleware import Enqueueing as Enqueueing
    from taskqueue_ray.engine.middleware import Middleware as Middleware
    from taskqueue_ray.engine.registry import use as use
    from taskqueue_ray.sdk import sinks as sinks
    from taskqueue_ray.sdk.awaiting import await_for as await_for
    from taskqueue_ray.sdk.awaiting import wait_for as wait_for
    from taskqueue_ray.sdk.client import TaskQueue as TaskQueue
    from taskqueue_ray.sdk.connection import connect as connect
    from taskqueue_ray.sdk.handle import JobHandle as JobHandle
    from taskqueue_ray.sdk.ids import new_id as new_id
    from taskqueue_ray.sdk.job import Job as Job
    from taskqueue_ray.sdk.job import job as job
    from taskqueue_ray.sdk.patience import patient as patient
    from taskqueue_ray.sdk.policies import Backoff as Backoff
    from taskqueue_ray.sdk.policies import Priority as Priority
    from taskqueue_ray.sdk.waiting import aas_completed as aas_completed
    from taskqueue_ray.sdk.waiting import agather as agather
    from taskqueue_ray.sdk.waiting import as_completed as as_completed
    from taskqueue_ray.sdk.waiting import gather as gather

__version__ = "0.1.0"

_ERRORS = (
    "AlertNotFound", "AmbiguousPhrase", "BatchEnded", "CommitUnknown", "Conflict", "DuplicateJob",
    "Fenced", "InvalidArguments", "InvalidKey", "PhraseNotUnderstood",
    "InvalidOption", "InvalidRequest", "InvalidSetting", "JobCancelled", "JobExpired", "JobFailed",
    "JobNotFound", "KeyMissing", "LimitConflict", "LimitTimeout", "OwnedElsewhere",
    "PayloadTooLarge", "QueueClosed", "QueueFull", "Recovering", "ResultTimeout", "ScheduleChanged",
    "ScheduleExists", "ScheduleNotFound", "SealBroken", "StorageCorrupt", "StorageFull",
    "StorageUnusable", "TaskQueueError", "Unavailable", "UnknownJobType", "Unserialisable",
    "NodeFenced", "QuotaBelowWorker", "UnknownCapability", "UnknownNode",
)  # fmt: skip
_HOMES = {
    **dict.fromkeys(_ERRORS, "core.errors"),
    "BatchSummary": "core.exchange",
    "JobState": "core.lifecycle",
    "Batch": "core.batching",
    "Threshold": "core.alerts",
    "Limit": "core.limiting",
    "Unique": "core.claims",
    **dict.fromkeys(("Cancel", "Fail", "Retry", "Snooze", "WaitFor", "current"), "engine.context"),
    **dict.fromkeys(("await_for", "wait_for"), "sdk.awaiting"),
    **dict.fromkeys(("Enqueueing", "Middleware"), "engine.middleware"),
    "use": "engine.registry",
    "TaskQueue": "sdk.client",
    "connect": "sdk.connection",
    "JobHandle": "sdk.handle",
    "new_id": "sdk.ids",
    **dict.fromkeys(("Job", "job"), "sdk.job"),
    "patient": "sdk.patience",
    **dict.fromkeys(("Backoff", "Priority"), "sdk.policies"),
    **dict.fromkeys(("aas_completed", "agather", "as_completed", "gather"), "sdk.waiting"),
}
_MODULES = {
    "jobs": "taskqueue_ray.jobs",
    "sinks": "taskqueue_ray.sdk.sinks",
    "tracing": "taskqueue_ray.tracing",
}
__all__ = sorted((*_HOMES, *_MODULES))  # noqa: PLE0605  # computed from the table above


def __getattr__(name: str) -> Any:
    # Loaded on first use: an executor that imports an application's module must stay small.
    if name in _MODULES:
        return import_module(_MODULES[name])
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'taskqueue_ray' has no attribute {name!r}")
    value = getattr(import_module(f"taskqueue_ray.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
