"""The job types that this process knows, by name."""

import importlib
import inspect
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import msgspec

from taskqueue_ray.core.batching import Batch
from taskqueue_ray.core.errors import (
    InvalidOption,
    InvalidRequest,
    UnknownJobType,
)
from taskqueue_ray.core.naming import check_type_name
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.engine.annotations import hints_of
from taskqueue_ray.engine.arguments import Binder, ResultType
from taskqueue_ray.engine.values import decode_value, encode_value
from taskqueue_ray.engine.vectorized import Vectorized, batch_of_class
from taskqueue_ray.engine.warmth import warmth_of

SHIPPED_MODULE = "taskqueue_ray.jobs"
_PAIR = b"\x92"  # MessagePack: an array of two
_NIL = b"\xc0"
_NOTHING = _PAIR + _NIL + _NIL
_envelope = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw])


class JobType:
    """A named function, or class with a `handle` method, and how its jobs are run.

    A result is an envelope: MessagePack of [value, payload that `handle` left, or nil]. With a
    `batch`, or as a class with `handle_batch`, it is `vectorized`: one call runs many jobs.
    """

    def __init__(
        self,
        name: str,
        target: Callable[..., Any],
        defaults: JobOptions | None = None,
        batch: Batch | None = None,
    ) -> None:
        self.name = check_type_name("type", name)
        self.target = target
        self.defaults = defaults or JobOptions()
        self.is_class = isinstance(target, type)
        if isinstance(target, type):
            batch = batch_of_class(target)
        self.batch = batch
        method = "handle" if batch is None else "handle_batch"
        self._function = getattr(target, method) if self.is_class else target
        # How a class makes an instance again is its own affair, when it says so (`tq.Job` does).
        self._revive = getattr(target, "revive", target)
        self.is_async = inspect.iscoroutinefunction(self._function)
        if _is_generator(self._function):
            raise InvalidRequest(f"job {name!r} is a generator: return a value, or enqueue jobs")
        self.warmth = warmth_of(name, target, self.is_async)
        self.vectorized = None if batch is None else self._vectorized(batch)

    @cached_property
    def binder(self) -> Binder:
        """Checks, stores and loads the arguments."""
        if self.is_class:
            return Binder(self.name, _takes_payload)
        if self.vectorized is not None:
            return Binder(self.name, self.vectorized.signature())
        return Binder(self.name, self.target)

    @cached_property
    def result(self) -> ResultType:
        """Stores and loads the return value."""
        if self.vectorized is not None:
            return ResultType(self.vectorized.result())
        return ResultType(hints_of(self._function).get("return", Any))

    @property
    def by_value(self) -> bool:
        """Whether no other process could import the function: its code must be stored."""
        return self.module == "__main__" or "<" in getattr(self.target, "__qualname__", "<")

    @property
    def module(self) -> str:
        """The module that defines the function."""
        return getattr(self.target, "__module__", None) or "__main__"

    def run(self, plain: bytes) -> bytes:
        """Run one job of a plain function or class, from its arguments to its result envelope."""
        if self.vectorized is not None:
            return self._run_alone(self.vectorized, plain)
        args, kwargs = self.binder.load(plain)
        if self.is_class:
            job = self._revive(kwargs["payload"])
            if self.warmth is not None:
                self.warmth.give(job)
            return self._with_payload(job.handle(), job.payload)
        return self._envelope(self.target(*args, **kwargs))

    async def run_async(self, plain: bytes) -> bytes:
        """Run one job of an `async def`."""
        args, kwargs = self.binder.load(plain)
        if self.is_class:
            job = self._revive(kwargs["payload"])
            if self.warmth is not None:
                await self.warmth.agive(job)
            return self._with_payload(await job.handle(), job.payload)
        return self._envelope(await self.target(*args, **kwargs))

    def item(self, plain: bytes) -> Any:
        """The item that a vectorized handler gets for a job."""
        return self.binder.load_one(plain)

    def enclose(self, value: object, item: Any) -> bytes:
        """The result envelope of a job that was one of many in a call."""
        return self._with_payload(value, item) if self.is_class else self._envelope(value)

    def _run_alone(self, vectorized: Vectorized, plain: bytes) -> bytes:
        item = self.item(plain)
        [value] = vectorized.call([item])
        if isinstance(value, BaseException):
            raise value
        return self.enclose(value, item)

    def _vectorized(self, batch: Batch) -> Vectorized:
        if self.defaults.executor == "async":
            raise InvalidOption("executor", "'async' beside a batch", "'process'")
        return Vectorized(
            self.name, self._function, batch, self._receiver if self.is_class else None
        )

    def _receiver(self) -> Any:
        """What `handle_batch` is called on: an instance with what `setup` has made."""
        job = self._revive({})
        if self.warmth is not None:
            self.warmth.give(job)
        return job

    def open_result(self, envelope: bytes) -> Any:
        """The return value, in the type that the function declares."""
        return self.result.load(_envelope.decode(envelope)[0])

    def _envelope(self, value: object) -> bytes:
        if value is None:
            return _NOTHING
        return _PAIR + self.result.store(value) + _NIL

    def _with_payload(self, value: object, payload: object) -> bytes:
        return _PAIR + self.result.store(value) + encode_value(payload, "self.payload")

    def __repr__(self) -> str:
        return f"<JobType {self.name}>"


class Registry:
    """Job types by name. Safe among threads."""

    def __init__(self) -> None:
        self._types: dict[str, JobType] = {}
        self._lock = threading.Lock()

    def register(self, job_type: JobType) -> JobType:
        """Make the type known. The same function again (a reload, a notebook cell) replaces it.

        Raises `InvalidRequest` for another function under a name that is taken.
        """
        with self._lock:
            present = self._types.get(job_type.name)
            if present is not None and not _is_redefinition(present, job_type):
                raise InvalidRequest(
                    f"job type {job_type.name!r} is already registered by {present.module}: give "
                    "one of them another name with type=..."
                )
            self._types[job_type.name] = job_type
        return job_type

    def get(self, name: str) -> JobType:
        """The type of that name. Raises `UnknownJobType`."""
        found = self._types.get(name)
        if found is None:
            raise UnknownJobType(name, self.names)
        return found

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._types)

    @property
    def modules(self) -> tuple[str, ...]:
        """The importable modules that define the types: what an executor has to load."""
        return tuple(sorted({job.module for job in self._types.values() if not job.by_value}))

    def resolve(self, name: str, allowed_modules: Iterable[str]) -> JobType:
        """The type of that name, after importing the allowed modules if need be.

        Nothing else is imported, whatever the name says. Raises `UnknownJobType`.
        """
        if name not in self._types:
            for module in (*allowed_modules, SHIPPED_MODULE):
                importlib.import_module(module)
                if name in self._types:
                    break
        return self.get(name)


registry = Registry()
"""The registry of this process, which `tq.job` fills."""


def type_name_of(target: Callable[..., Any]) -> str:
    """The name that a function or class gets when it is given none.

    >>> type_name_of(lambda: None).endswith("lambda")
    True
    """
    qualified = getattr(target, "__qualname__", type(target).__qualname__)
    plain = qualified.replace("<locals>.", "").replace("<lambda>", "lambda")
    return f"{getattr(target, '__module__', None) or '__main__'}.{plain}"


def open_value(envelope: bytes) -> Any:
    """The return value in a result envelope, when the job type is not known here."""
    return decode_value(bytes(_envelope.decode(envelope)[0]))


def value_in(envelope: bytes) -> msgspec.Raw:
    """The return value in a result envelope, as it is stored."""
    return _envelope.decode(envelope)[0]


def open_payload_after(envelope: bytes) -> Any:
    """The payload as `handle` left it, or None for a function's job."""
    return decode_value(bytes(_envelope.decode(envelope)[1]))


def _takes_payload(payload: dict[str, Any]) -> None:
    """What the arguments of a class's job look like."""


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _is_redefinition(present: JobType, new: JobType) -> bool:
    return present.target is new.target or (
        present.module == new.module
        and getattr(present.target, "__qualname__", "") == getattr(new.target, "__qualname__", "")
    )
