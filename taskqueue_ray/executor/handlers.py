"""Which code handles a job, in an executor."""

import traceback
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any

import msgspec

from taskqueue_ray.core.errors import UnknownJobType
from taskqueue_ray.core.model import Options, StoredCode
from taskqueue_ray.engine.code import restore
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.middleware import installed
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.executor.sealed import need

_decode_code = msgspec.msgpack.Decoder(StoredCode | None).decode


CODE = "code"
"""The method of the queue that gives stored code by its hash."""


def question(code: str) -> bytes:
    """The request that goes with `CODE`."""
    return msgspec.msgpack.encode(code)


class Handlers:
    """Job types by name, and functions sent by value by their hash. What was found is kept."""

    def __init__(self, sealer: Sealer | None, allowed: tuple[str, ...]) -> None:
        self._sealer = sealer
        self._allowed = allowed
        self._found: dict[tuple[str, str | None], JobType] = {}

    def known(self, options: Options) -> JobType | None:
        """The handler, when it was found before."""
        return self._found.get((options.type, options.code))

    def imported(self, options: Options) -> JobType:
        """The handler, from the registry or from an allowed module.

        Raises `UnknownJobType` when nobody defines it, and what the import of its module raises.
        """
        handler = registry.resolve(options.type, self._allowed)
        self._found[options.type, None] = handler
        return handler

    def restored(self, options: Options, answer: bytes) -> JobType:
        """The handler, from the queue's answer to `question`."""
        handler = self._restored(options.type, str(options.code), answer)
        self._found[options.type, options.code] = handler
        return handler

    def end(self, run: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """The executor ends in good order: each `teardown` has its turn, an async one by `run`."""
        for handler in self._found.values():
            try:
                if handler.warmth is not None and isawaitable(done := handler.warmth.cool()):
                    run(_awaited(done))
            except BaseException:  # it is application code, and the others have theirs
                traceback.print_exc()
        for one in installed.all:
            try:
                one.close()
            except BaseException:
                traceback.print_exc()

    def _restored(self, type_name: str, code: str, answer: bytes) -> JobType:
        stored = _decode_code(answer)
        if stored is None:
            raise UnknownJobType(type_name, registry.names)
        return restore(stored, code, need(self._sealer, ""))


async def _awaited(one: Awaitable[object]) -> None:
    await one
