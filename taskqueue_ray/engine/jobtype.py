"""A job type: a named function or class, and how its jobs are run."""

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from taskqueue_ray.core.batching import Batch
from taskqueue_ray.core.errors import (
    InvalidOption,
    InvalidRequest,
)
from taskqueue_ray.core.naming import check_type_name
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.engine.annotations import hints_of
from taskqueue_ray.engine.arguments import Binder, ResultType
from taskqueue_ray.engine.backoffs import BackoffFunction
from taskqueue_ray.engine.context import current
from taskqueue_ray.engine.headers import HEADED, headers_of
from taskqueue_ray.engine.middleware import (
    Middleware,
    check_fit,
    installed,
    kind_of,
    overrides,
    runs,
    surround,
)
from taskqueue_ray.engine.results import NIL, NOTHING, PAIR, value_in
from taskqueue_ray.engine.values import encode_value
from taskqueue_ray.engine.vectorized import Vectorized, batch_of_class
from taskqueue_ray.engine.warmth import warmth_of


class _Known(NamedTuple):
    """The middleware of a job type, as long as what the process has installed is `present`."""

    present: tuple[Middleware, ...]
    before: tuple[Middleware, ...]
    around: tuple[Middleware, ...]


class JobType:
    """A named function, or class with a `handle` method, and how its jobs are run.

    A result is an envelope: MessagePack of [value, payload that `handle` left, or nil].
    `middleware` is its own; `carried` came with its code out of another process's `__main__`.
    `backoff` is asked when an attempt has failed, if its options say so. With a `batch`, or as a
    class with `handle_batch`, it is `vectorized`: one call runs many jobs.
    """

    def __init__(
        self,
        name: str,
        target: Callable[..., Any],
        defaults: JobOptions | None = None,
        middleware: tuple[Middleware, ...] = (),
        carried: tuple[Middleware, ...] = (),
        backoff: BackoffFunction | None = None,
        batch: Batch | None = None,
    ) -> None:
        self.name = check_type_name("type", name)
        self.target = target
        self.defaults = defaults or JobOptions()
        self.backoff = backoff
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
        self.middleware = middleware
        self._carried = carried
        self.has_own = bool(middleware or carried)
        self._known: _Known | None = None
        check_fit(middleware, self.name, self.is_async)
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
        if installed.all or self.has_own or plain[:1] == HEADED:
            call, stored = self._surrounded(plain)
            return stored(call())
        if self.vectorized is not None:
            return self._run_alone(self.vectorized, plain)
        args, kwargs = self.binder.load(plain)
        if self.is_class:
            job = self._revive(kwargs["payload"])
            return self._with_payload(self._handle(job), job.payload)
        return self._envelope(self.target(*args, **kwargs))

    async def run_async(self, plain: bytes) -> bytes:
        """Run one job of an `async def`."""
        if installed.all or self.has_own or plain[:1] == HEADED:
            call, stored = self._surrounded(plain)
            return stored(await call())
        args, kwargs = self.binder.load(plain)
        if self.is_class:
            job = self._revive(kwargs["payload"])
            return self._with_payload(await self._ahandle(job), job.payload)
        return self._envelope(await self.target(*args, **kwargs))

    @property
    def before(self) -> tuple[Middleware, ...]:
        """What is to see its jobs before they are stored, the outermost first."""
        return self._layers.before

    @property
    def carried(self) -> tuple[Middleware, ...]:
        """What must travel with its code, beside its own: executors do not import `__main__`."""
        return (*installed.of_main, *self._carried_here)

    @property
    def _carried_here(self) -> tuple[Middleware, ...]:
        # Back in the process that it came from, it is installed already.
        present = {kind_of(one) for one in installed.all}
        return tuple(one for one in self._carried if kind_of(one) not in present)

    @property
    def _layers(self) -> "_Known":
        known = self._known
        if known is None or known.present is not installed.all:
            known = self._known = self._look(installed.all)
        return known

    def _look(self, present: tuple[Middleware, ...]) -> "_Known":
        layers = (*present, *self._carried_here, *self.middleware)
        # Again, since code that was sent by value may meet here what it has not met before.
        check_fit(layers, self.name, self.is_async)
        before = tuple(one for one in layers if overrides(one, "on_enqueue"))
        return _Known(present, before, tuple(one for one in layers if runs(one)))

    def _surrounded(self, plain: bytes) -> tuple[Callable[[], Any], Callable[[Any], bytes]]:
        """The call with its middleware around it, and how what it returns is stored."""
        call, stored = self._prepared(plain)
        context = current()
        context.headers = headers_of(plain)
        return surround(self._layers.around, context, call, self.is_async), stored

    def _prepared(self, plain: bytes) -> tuple[Callable[[], Any], Callable[[Any], bytes]]:
        """The call, and how what it returns is stored."""
        if self.vectorized is not None:
            item = self.item(plain)
            return partial(_first, self.vectorized, item), partial(self.enclose, item=item)
        args, kwargs = self.binder.load(plain)
        if self.is_class:
            job = self._revive(kwargs["payload"])
            handle = self._ahandle if self.is_async else self._handle
            return partial(handle, job), lambda value: self._with_payload(value, job.payload)
        return partial(self.target, *args, **kwargs), self._envelope

    def _handle(self, job: Any) -> Any:
        if self.warmth is not None:
            self.warmth.give(job)
        return job.handle()

    async def _ahandle(self, job: Any) -> Any:
        if self.warmth is not None:
            await self.warmth.agive(job)
        return await job.handle()

    def run_many(self, items: list[Any]) -> Sequence[Any]:
        """One call of a vectorized handler; the results, or exceptions, of these items.

        Middleware stands around the call as a whole; what it gives instead is checked like what
        the handler gives. Raises what either raises.
        """
        assert self.vectorized is not None
        call: Callable[[], Any] = partial(self.vectorized.call, items)
        if installed.all or self.has_own:
            call = surround(self._layers.around, current(), call, False)
        return self.vectorized.checked(call(), len(items))

    def item(self, plain: bytes) -> Any:
        """The item that a vectorized handler gets for a job."""
        return self.binder.load_one(plain)

    def enclose(self, value: object, item: Any) -> bytes:
        """The result envelope of a job that was one of many in a call."""
        return self._with_payload(value, item) if self.is_class else self._envelope(value)

    def _run_alone(self, vectorized: Vectorized, plain: bytes) -> bytes:
        item = self.item(plain)
        return self.enclose(_first(vectorized, item), item)

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
        return self.result.load(value_in(envelope))

    def _envelope(self, value: object) -> bytes:
        if value is None:
            return NOTHING
        return PAIR + self.result.store(value) + NIL

    def _with_payload(self, value: object, payload: object) -> bytes:
        return PAIR + self.result.store(value) + encode_value(payload, "self.payload")

    def __repr__(self) -> str:
        return f"<JobType {self.name}>"


def _first(vectorized: Vectorized, item: Any) -> Any:
    """What the handler returns for this item alone. Raises what it returns as an exception."""
    [value] = vectorized.checked(vectorized.call([item]), 1)
    if isinstance(value, BaseException):
        raise value
    return value


def type_name_of(target: Callable[..., Any]) -> str:
    """The name that a function or class gets when it is given none.

    >>> type_name_of(lambda: None).endswith("lambda")
    True
    """
    qualified = getattr(target, "__qualname__", type(target).__qualname__)
    plain = qualified.replace("<locals>.", "").replace("<lambda>", "lambda")
    return f"{getattr(target, '__module__', None) or '__main__'}.{plain}"


def _takes_payload(payload: dict[str, Any]) -> None:
    """What the arguments of a class's job look like."""


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
