"""What the `setup` of a job class makes, and keeps warm for all its jobs of one process."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from taskqueue_ray.core.errors import InvalidRequest


class Warmth:
    """Runs `setup` before the first job of a class in this process.

    It runs on an instance of its own, whose payload is empty. The attributes that it sets are given
    to the instance of each job: the objects are shared, and what a job assigns stays its own. A
    `setup` that raises is tried again for the next job.
    """

    def __init__(self, name: str, kind: type[Any], is_async: bool) -> None:
        self._name = name
        self._kind = kind
        self._is_async = is_async
        self._warm: Any = None
        self._made: dict[str, Any] | None = None
        self._lock: asyncio.Lock | None = None
        for hook in ("setup", "teardown"):
            if inspect.iscoroutinefunction(getattr(kind, hook, None)) and not is_async:
                raise InvalidRequest(
                    f"job {name!r}: its {hook} is `async def` and its handler is not; make both so"
                )

    def give(self, job: Any) -> None:
        """Give a job's instance what `setup` has made; raises what that raises."""
        if self._made is None:
            warm = self._new()
            before = dict(vars(warm))
            try:
                self._setup(warm)
            except BaseException as error:
                self._explain(error)
                raise
            self._keep(warm, before)
        self._share(job)

    async def agive(self, job: Any) -> None:
        """The same for async code. Of jobs that begin together one sets up, the others wait."""
        if self._made is None:
            self._lock = self._lock or asyncio.Lock()
            async with self._lock:
                if self._made is None:
                    await self._warm_up()
        self._share(job)

    async def _warm_up(self) -> None:
        warm = self._new()
        before = dict(vars(warm))
        try:
            done = self._setup(warm)
            if inspect.isawaitable(done):
                await done
        except BaseException as error:
            self._explain(error)
            raise
        self._keep(warm, before)

    def cool(self) -> object:
        """Call `teardown`, if it is there and `setup` was run; what it returns may be awaitable."""
        warm, self._warm, self._made = self._warm, None, None
        if warm is None or not hasattr(warm, "teardown"):
            return None
        return warm.teardown()

    def _new(self) -> Any:
        return getattr(self._kind, "revive", self._kind)({})

    def _setup(self, warm: Any) -> Any:
        return warm.setup() if hasattr(warm, "setup") else None

    def _keep(self, warm: Any, before: dict[str, Any]) -> None:
        made = vars(warm)
        self._warm = warm
        self._made = {
            name: value
            for name, value in made.items()
            if name != "payload" and (name not in before or before[name] is not value)
        }

    def _share(self, job: Any) -> None:
        if self._made:
            vars(job).update(self._made)

    def _explain(self, error: BaseException) -> None:
        error.add_note(f"raised by the setup of {self._name}, which runs before its first job")


def warmth_of(name: str, kind: Callable[..., Any], is_async: bool) -> Warmth | None:
    """The warmth of a class that has `setup` or `teardown`; None of any other, and of functions."""
    if not isinstance(kind, type) or not (hasattr(kind, "setup") or hasattr(kind, "teardown")):
        return None
    return Warmth(name, kind, is_async)
