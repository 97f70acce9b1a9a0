"""What stands around the enqueueing and the running of jobs: for traces, tenants, permissions.

`tq.use` in `engine.registry` installs middleware for all jobs of a process; `@tq.job(middleware=…)`
gives it to one type, further inside.
"""

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import FrameType
from typing import Any

from taskqueue_ray.core.errors import InvalidOption, InvalidRequest
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.engine.context import Context, current_or_none
from taskqueue_ray.engine.headers import check_headers

MAIN = "__main__"
_FORMS = {"on_enqueue": False, "around": False, "run": False, "arun": True}
"""The methods, and whether they are `async def`."""


class Middleware:
    """Base of middleware: override what is needed, `on_enqueue`, `around`, or `run` and `arun`.

    One object serves all jobs of its process, in an async executor many at a time.

    >>> class Timed(Middleware):
    ...     @contextmanager
    ...     def around(self, context):
    ...         began = time.monotonic()
    ...         yield
    ...         print(context.job.type, time.monotonic() - began)
    """

    def on_enqueue(self, item: "Enqueueing") -> None:
        """Before a job is stored, in the process that enqueues it.

        May look at the call, change its options and headers, or raise: then nothing is stored,
        and whoever enqueues gets the exception.
        """

    def around(self, context: Context) -> AbstractContextManager[object]:
        """What is entered before the code of a job and left after it, be it plain or `async def`.

        What is raised here ends the run as if the job's code had raised it.
        """
        return nullcontext()

    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        """Around the code of a plain job, in its executor; what it returns is the job's result.

        `call_next()` runs what is further inside, at last the job's own code. For what `around`
        cannot do: another result, another exception, no call or several.
        """
        with self.around(context):
            return call_next()

    async def arun(self, context: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        """The same around the jobs of an `async def`: `await call_next()`."""
        with self.around(context):
            return await call_next()

    def close(self) -> None:
        """The executor ends in good order, or is replaced: the last moment to send what was
        gathered. What is killed has none.
        """


class Enqueueing:
    """A job that is about to be stored, as `Middleware.on_enqueue` sees it.

    `type` is the registered name, `args` and `kwargs` are those of the call. `headers` is a dict
    of text that is sealed with the arguments; the run reads it as `tq.current().headers`.
    """

    __slots__ = ("_options", "args", "headers", "kwargs", "type")

    def __init__(
        self, type: str, options: JobOptions, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self.type = type
        self.args = args
        self.kwargs = kwargs
        self.headers: dict[str, str] = {}
        self._options = options

    @property
    def options(self) -> JobOptions:
        """The options as they are now; durations in seconds."""
        return self._options

    @property
    def within(self) -> Context | None:
        """The run of the job that enqueues this one, or None outside of a job."""
        return current_or_none()

    def change(self, **options: object) -> None:
        """Change options, as in `.options(...)`. Raises `InvalidOption`.

        An id that the caller has chosen stays: other jobs may depend on it already.

        >>> item = Enqueueing("app.send", JobOptions(), (), {})
        >>> item.change(tags=[*item.options.tags, "traced"], fair_key="acme")
        >>> item.options.tags
        ('traced',)
        """
        if "id" in options and self._options.id is not None:
            raise InvalidOption("id", "another id", "no change: this job has one already")
        self._options = self._options.but(options)

    def __repr__(self) -> str:
        return f"<Enqueueing {self.type}>"


class Installed:
    """The middleware of this process, the outermost first. Values are replaced, never changed."""

    def __init__(self) -> None:
        self._entries: tuple[tuple[Middleware, str], ...] = ()
        self.all: tuple[Middleware, ...] = ()
        self.of_main: tuple[Middleware, ...] = ()
        """What no executor installs by an import, though it is to stand around runs."""

    @property
    def modules(self) -> frozenset[str]:
        """The modules whose import installs some of it."""
        return frozenset(module for _, module in self._entries) - {MAIN}

    def add(self, one: Middleware, module: str) -> None:
        """Take it in, as the innermost; one of the same class (a reload) it replaces."""
        kinds = [kind_of(present) for present, _ in self._entries]
        if kind_of(one) in kinds:
            at = kinds.index(kind_of(one))
            self._set((*self._entries[:at], (one, module), *self._entries[at + 1 :]))
        else:
            self._set((*self._entries, (one, module)))

    def remove(self, one: Middleware) -> None:
        """Let it go, if it is there."""
        self._set(tuple(entry for entry in self._entries if entry[0] is not one))

    def _set(self, entries: tuple[tuple[Middleware, str], ...]) -> None:
        self._entries = entries
        self.of_main = tuple(one for one, module in entries if module == MAIN and runs(one))
        self.all = tuple(one for one, _ in entries)


installed = Installed()
"""What `tq.use` has installed in this process."""


def check_middleware(given: object) -> Middleware:
    """An instance that does something. Raises `InvalidOption`."""
    if not isinstance(given, Middleware):
        shown = f"the class {given.__name__}" if isinstance(given, type) else ascii(given)[:80]
        raise InvalidOption("middleware", shown, "an instance of a class that derives from it")
    if not any(overrides(given, method) for method in _FORMS):
        raise InvalidOption("middleware", named(given), f"one with {', '.join(_FORMS)}")
    for method, is_async in _FORMS.items():
        function = getattr(given, method)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidOption("middleware", named(given), f"a {method} that is no generator")
        if inspect.iscoroutinefunction(function) is not is_async:
            wanted = "an `async def`" if is_async else "a plain function"
            raise InvalidOption("middleware", named(given), f"a {method} that is {wanted}")
    return given


def check_all(given: object) -> tuple[Middleware, ...]:
    """The middleware of one job type. Raises `InvalidOption`."""
    if not isinstance(given, list | tuple):
        raise InvalidOption("middleware", ascii(given)[:80], "a list of middleware")
    return tuple(check_middleware(one) for one in given)


def check_fit(middleware: Iterable[Middleware], job_type: str, is_async: bool) -> None:
    """That each which runs around jobs can do so around this type. Raises `InvalidRequest`."""
    method, other = ("arun", "run") if is_async else ("run", "arun")
    for one in middleware:
        if runs(one) and not (overrides(one, method) or overrides(one, "around")):
            form = "async def arun" if is_async else "def run"
            raise InvalidRequest(
                f"the middleware {named(one)} has `{other}` alone, and job {job_type!r} is "
                f"{'an' if is_async else 'no'} `async def`: give it `{form}(self, context, "
                "call_next)` too, or `around`, which serves both"
            )


def runs(one: Middleware) -> bool:
    """Whether it stands around runs."""
    return any(overrides(one, method) for method in ("around", "run", "arun"))


def overrides(one: Middleware, method: str) -> bool:
    """Whether it has this method of its own."""
    return getattr(type(one), method) is not getattr(Middleware, method)


def kind_of(one: Middleware) -> tuple[str, str]:
    """The name of its class, which is the same for a class that was defined again or unpickled."""
    return type(one).__module__, type(one).__qualname__


def named(one: Middleware) -> str:
    """What messages call it."""
    return type(one).__name__


def surround(
    around: tuple[Middleware, ...], context: Context, call: Callable[[], Any], is_async: bool
) -> Callable[[], Any]:
    """The call with the middleware around it."""
    # Partials, which add no frame of ours to tracebacks.
    for one in reversed(around):
        call = partial(one.arun if is_async else one.run, context, call)
    return call


def announce(
    before: tuple[Middleware, ...], item: Enqueueing
) -> tuple[JobOptions, Mapping[str, str]]:
    """Show it a job that is about to be stored; the options and the headers that come of it."""
    for one in before:
        tell: Callable[[Enqueueing], object] = one.on_enqueue
        if tell(item) is not None:
            raise InvalidRequest(
                f"on_enqueue of {named(one)} returned something: it changes the item, or raises"
            )
    return item.options, check_headers(item.headers)


def importing() -> str:
    """The module whose import is under way, `__main__` when none is."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            return str(frame.f_globals.get("__name__", MAIN))
        frame = frame.f_back
    return MAIN
