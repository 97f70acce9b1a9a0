"""Functions and classes as jobs."""

from collections.abc import Callable, Coroutine, Sequence
from functools import update_wrapper
from typing import Any, ClassVar, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload
from weakref import WeakKeyDictionary

from taskqueue_ray.core.batching import Batch, check_batch
from taskqueue_ray.core.claims import Unique
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.options import NAMES, JobOptions
from taskqueue_ray.core.retry import Backoff
from taskqueue_ray.engine.backoffs import BackoffFunction, options_of_type
from taskqueue_ray.engine.context import current_or_none
from taskqueue_ray.engine.jobtype import JobType, type_name_of
from taskqueue_ray.engine.middleware import Middleware, check_all
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.sdk import current
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.ids import source

P = ParamSpec("P")
C = TypeVar("C")
Item = TypeVar("Item")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class OptionArguments(TypedDict, total=False):
    """The options of a job, as in `tq.job`; `docs/guides` shows what they are for."""

    id: object
    name: str | None
    queue: str
    priority: int
    max_attempts: int
    backoff: Backoff | BackoffFunction
    timeout: object
    delay: object
    at: object
    expires: object
    unique: Unique | str | bool | None
    tags: object
    category: str | None
    depends_on: object
    on_parent_failure: str
    fair_key: object
    concurrency_key: object
    ordered: bool
    executor: str | None
    retry_on: object
    give_up_on: object
    cancel_grace: object
    num_cpus: float | None
    num_gpus: float | None
    memory: object
    resources: dict[str, float] | None
    label_selector: dict[str, str] | None
    runtime_env: dict[str, Any] | None
    limits: object


class JobItem(Generic[R_co]):
    """A call that is yet to be enqueued: what `enqueue_many` and pipelines take."""

    __slots__ = ("args", "job_type", "kwargs", "options")

    def __init__(
        self,
        job_type: JobType,
        options: JobOptions,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.job_type = job_type
        self.options = options
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        return f"<JobItem {self.job_type.name}>"


class JobFunction(Generic[P, C, R]):
    """A function that can be enqueued, and still be called."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, C]

    def __init__(self, function: Callable[P, C], job_type: JobType, options: JobOptions) -> None:
        self._assign(function, job_type, options)

    def _assign(self, function: Callable[P, C], job_type: JobType, options: JobOptions) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = options
        self.job_type = job_type

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C:
        return self._function(*args, **kwargs)

    def options(self, **options: Unpack[OptionArguments]) -> "JobFunction[P, C, R]":
        """The same job with other options.

        >>> send_email.options(delay="10m").enqueue("a@b.c")  # doctest: +SKIP
        """
        return JobFunction(self._function, self.job_type, self._options.but(options))

    def item(self, *args: P.args, **kwargs: P.kwargs) -> JobItem[R]:
        """This call as a value, for `enqueue_many` and pipelines."""
        return JobItem(self.job_type, self._options, args, kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Enqueue this call on the connection that is open. Durable on return."""
        return cast(JobHandle[R], current.client().enqueue(self.item(*args, **kwargs)))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """The same for async code."""
        return cast(JobHandle[R], await current.client().aenqueue(self.item(*args, **kwargs)))

    def __reduce__(self) -> str | tuple[Any, ...]:
        if not self.job_type.by_value:
            return self.__qualname__  # the global of this name in the module
        # A recursive function refers to this object while it is itself being unpickled: nothing
        # may look at the function before the state is set.
        job = self.job_type
        own = job.middleware, job.carried, job.backoff, job.batch
        return (_unfinished, (), (self._function, job.name, self._options, own))

    def __setstate__(self, state: tuple[Callable[P, C], str, JobOptions, tuple[Any, ...]]) -> None:
        function, name, options, own = state
        self._assign(function, JobType(name, function, options, *own), options)

    def __repr__(self) -> str:
        return f"<job {self.job_type.name}>"


def _unfinished() -> "JobFunction[Any, Any, Any]":
    return JobFunction.__new__(JobFunction)


class BatchFunction(JobFunction[[Item], Sequence[R], R]):
    """A vectorized one: it is enqueued with one item, and called with a list of them."""

    def __call__(self, items: list[Item], /) -> Sequence[R]:  # type: ignore[override]  # see above
        return cast(Callable[[list[Item]], Sequence[R]], self._function)(items)


class _Decorator:
    """`@tq.job(...)`: typed apart for `async def`, whose jobs give what is awaited."""

    def __init__(
        self,
        options: JobOptions,
        name: str | None,
        middleware: tuple[Middleware, ...],
        backoff: BackoffFunction | None,
        batch: Batch | None,
    ) -> None:
        self._options = options
        self._name = name
        self._middleware = middleware
        self._backoff = backoff
        self._batch = batch

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]]
    ) -> JobFunction[P, Coroutine[Any, Any, R], R]: ...

    @overload
    def __call__(self, function: Callable[P, R]) -> JobFunction[P, R, R]: ...

    def __call__(self, function: Callable[..., Any]) -> JobFunction[..., Any, Any]:
        if isinstance(function, JobFunction):
            raise InvalidRequest(f"{function!r} is a job already")
        if isinstance(function, type) or not callable(function):
            raise InvalidRequest("@tq.job is for functions; a class derives from tq.Job")
        name = self._name or type_name_of(function)
        job_type = JobType(
            name, function, self._options, self._middleware, (), self._backoff, self._batch
        )
        made = JobFunction if self._batch is None else BatchFunction
        return made(function, registry.register(job_type), self._options)


@overload
def job(
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> JobFunction[P, Coroutine[Any, Any, R], R]: ...


@overload
def job(function: Callable[P, R], /) -> JobFunction[P, R, R]: ...


@overload
def job(
    *,
    batch: Batch,
    type: str | None = None,
    middleware: Sequence[Middleware] = (),
    **options: Unpack[OptionArguments],
) -> Callable[[Callable[[list[Item]], Sequence[R]]], BatchFunction[Item, R]]: ...


@overload
def job(
    *,
    batch: None = None,
    type: str | None = None,
    middleware: Sequence[Middleware] = (),
    **options: Unpack[OptionArguments],
) -> _Decorator: ...


def job(
    function: Callable[..., Any] | None = None,
    /,
    *,
    batch: Batch | None = None,
    type: str | None = None,
    middleware: Sequence[Middleware] = (),
    **options: Any,
) -> Any:
    """Make a function a job. It can still be called as before.

    Options: `id, name, queue, priority` (0 to 100, a higher one runs sooner), `max_attempts,
    backoff, retry_on, give_up_on, timeout, delay, at, expires, unique, tags, category, depends_on,
    on_parent_failure, fair_key, concurrency_key, ordered, limits, cancel_grace, executor`
    ("process"; "async", which `async def` gets by itself; "actor" or "task" in Ray, with `num_cpus,
    num_gpus, memory, resources, label_selector, runtime_env`); see the guides. Durations are
    seconds, a `timedelta`, or text such as "5m". A `backoff` may be a function of the attempt's
    number and its exception that gives a duration, or None for the default. `type` is the
    registered name, by default the dotted path; `middleware` stands around the jobs of this type
    alone, the first outermost. With a `batch` the function is vectorized: it takes a list of items
    and returns as many results, and a job has one item. Raises `InvalidOption`.

    >>> @job(queue="mail", priority=10, timeout="30s")
    ... def send_email(to: str, subject: str = "") -> str:
    ...     return f"sent to {to}"
    >>> send_email("a@b.c")
    'sent to a@b.c'
    """
    shared, backoff = options_of_type(options)
    decorate = _Decorator(shared, type, check_all(middleware), backoff, check_batch(batch))
    return decorate if function is None else decorate(function)


class Job:
    """A job as a class: a payload, options as class attributes, and `handle`, which does the work.

    What `handle` writes into `self.payload` is kept with the result. A class with a method `setup`
    has it run before its first job in a process, and each job's instance gets the attributes that
    it sets; `teardown`, when there is one, runs at the orderly end of the process. Instead of
    `handle` there can be `handle_batch(self, payloads)`, which does the work of many jobs and
    returns a list of their results, with `batch = tq.Batch(...)` to say of how many.

    >>> class Resize(Job):
    ...     queue = "images"
    ...
    ...     def handle(self) -> str:
    ...         return self.payload["path"]
    >>> Resize({"path": "cat.png"}, priority=10).payload
    {'path': 'cat.png'}
    """

    middleware: ClassVar[Sequence[Middleware]] = ()
    _type_name: ClassVar[str | None] = None

    def __init__(self, payload: dict[str, Any] | None = None, **options: Any) -> None:
        if "dependencies" in options:
            options["depends_on"] = options.pop("dependencies")
        if not (payload is None or isinstance(payload, dict)):
            raise InvalidOption("payload", ascii(payload)[:80], "a dict")
        self.payload: dict[str, Any] = {} if payload is None else payload
        self._options = type_of(type(self)).defaults.but(options)
        self._id = self._options.id

    def __init_subclass__(cls, *, type: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._type_name = type
        # A class that is being unpickled has no attributes yet: its executor knows what it is.
        if "handle" in cls.__dict__ or "handle_batch" in cls.__dict__:
            registry.register(type_of(cls))

    @property
    def id(self) -> str:
        """The job's id, which is chosen here: other jobs can depend on it before it is pushed."""
        if self._id is None:
            self._id = source.draw()
        return to_text(self._id)

    def item(self) -> JobItem[Any]:
        """This job as a value, for `enqueue_many` and pipelines."""
        options = self._options if self._options.id else self._options.but({"id": self.id})
        return JobItem(type_of(type(self)), options, (self.payload,), {})

    def enqueue(self) -> JobHandle[Any]:
        """Enqueue this job on the connection that is open. Durable on return."""
        return current.client().enqueue(self.item())

    @classmethod
    def revive(cls, payload: dict[str, Any]) -> "Job":
        """The job again, in its executor."""
        made = cls(payload)
        context = current_or_none()
        if context is not None:
            made._id = context.single
        return made

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.id}>"


_types: WeakKeyDictionary[type[Job], JobType] = WeakKeyDictionary()


def type_of(cls: type[Job]) -> JobType:
    """The job type of a class; kept beside the class, which may be pickled by value."""
    found = _types.get(cls)
    if found is None:
        if not any(callable(getattr(cls, name, None)) for name in ("handle", "handle_batch")):
            raise InvalidRequest(f"{cls.__qualname__} has no method `handle`, which does the work")
        defaults, backoff = options_of_type(_class_options(cls))
        name = cls._type_name or type_name_of(cls)
        found = _types[cls] = JobType(
            name, cls, defaults, check_all(cls.middleware), backoff=backoff
        )
    return found


def _class_options(cls: type) -> dict[str, object]:
    given: dict[str, object] = {}
    for ancestor in reversed(cls.__mro__):
        for name in NAMES:
            # `id` is a property of the base; nothing else of it is an option's name.
            if name in ancestor.__dict__ and name != "id":
                given[name] = ancestor.__dict__[name]
    return given


def as_item(target: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> JobItem[Any]:
    """What `enqueue` was given as one item: a job, an item, a `tq.Job`, a function, or a name."""
    match target:
        case JobFunction():
            return target.item(*args, **kwargs)
        case JobItem() | Job():
            if args or kwargs:
                raise InvalidRequest(f"{target!r} has its arguments already")
            return target if isinstance(target, JobItem) else target.item()
        case str():
            job_type = registry.get(target)
            return JobItem(job_type, job_type.defaults, args, kwargs)
        case _ if callable(target) and not isinstance(target, type):
            return job(target).item(*args, **kwargs)
        case _:
            raise InvalidRequest(
                f"{ascii(target)[:80]} is no job: decorate a function with @tq.job"
            )
