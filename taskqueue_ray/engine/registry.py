"""The job types that this process knows, by name."""

import importlib
import threading
from collections.abc import Iterable

from taskqueue_ray.core.errors import InvalidRequest, UnknownJobType
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.middleware import (
    MAIN,
    Middleware,
    check_fit,
    check_middleware,
    importing,
    installed,
)

SHIPPED_MODULE = "taskqueue_ray.jobs"


class Registry:
    """Job types by name. Safe among threads."""

    def __init__(self) -> None:
        self._types: dict[str, JobType] = {}
        self._lock = threading.Lock()

    def register(self, job_type: JobType) -> JobType:
        """Make the type known. The same function again (a reload, a notebook cell) replaces it.

        Raises `InvalidRequest` for another function under a name that is taken.
        """
        check_fit(installed.all, job_type.name, job_type.is_async)
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
        modules = {job.module for job in self._types.values() if not job.by_value}
        return tuple(sorted(modules | installed.modules))

    def use(self, middleware: Middleware, module: str) -> None:
        """Install middleware for all jobs of this process. `module` is what calls for it."""
        one = check_middleware(middleware)
        for job_type in list(self._types.values()):
            check_fit((one,), job_type.name, job_type.is_async)
        installed.add(one, module)

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


def use(middleware: Middleware) -> None:
    """Have middleware around all jobs that this process enqueues or runs; the first is outermost.

    It belongs at the top of a module of the application: executors import that module, and so have
    it too. What is used in a notebook or a script goes along with the functions that are defined
    there, and with no others. One of the same class replaces an earlier one, at its place.

    Raises `InvalidOption` for what is no middleware, and `InvalidRequest` when it cannot stand
    around a job that is registered: `run` is for plain jobs, `arun` for `async def`.

    >>> use(Tracing())  # doctest: +SKIP
    """
    registry.use(middleware, importing())


def check_reach(job_type: JobType) -> None:
    """That the executors of a type will have what is installed here. Raises `InvalidRequest`."""
    if not job_type.by_value and (strays := installed.of_main):
        raise InvalidRequest(
            f"the middleware {type(strays[0]).__name__} was installed by {MAIN}, which executors "
            f"do not import, so job {job_type.name!r} would run without it: call tq.use at the top "
            "of a module of the application, or give it to single jobs as middleware=[...]"
        )


def _is_redefinition(present: JobType, new: JobType) -> bool:
    return present.target is new.target or (
        present.module == new.module
        and getattr(present.target, "__qualname__", "") == getattr(new.target, "__qualname__", "")
    )
