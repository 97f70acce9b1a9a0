"""SIGTERM, told to an async actor on its event loop, so that it can leave in good order.

Ray's own handler lets the process hang as long as a call is pending (there is always one) and then
ends it without a word to the actor. A handler can be set on the main thread alone, and of all that
Ray calls in an async actor only `__new__` runs there.
"""

import asyncio
import os
import signal
from types import FrameType
from typing import Self

import ray


class Terminable:
    """Base of the actors that leave in good order. `actors` begins the names of such actors.

    An actor calls `hear` in its `__init__` and waits for `told`.
    """

    actors: str
    told: asyncio.Event
    _loop: asyncio.AbstractEventLoop | None

    def __new__(cls, *_config: bytes) -> Self:
        self = super().__new__(cls)
        self._loop = None
        # Ray calls this in the program that describes the actor, too.
        context = ray.get_runtime_context()
        if context.get_actor_id() and str(context.get_actor_name()).startswith(cls.actors):
            signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def hear(self) -> None:
        """From now on SIGTERM sets `told`; before, it ended the process."""
        self.told = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._loop is None:
            os._exit(1)
        self._loop.call_soon_threadsafe(self.told.set)
