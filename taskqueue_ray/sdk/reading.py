"""A queue opened for reading: a folder that nobody owns now, without Ray."""

import asyncio
import secrets
from concurrent.futures import Future

from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.keyring import KEY_SIZE, Key, Keyring
from taskqueue_ray.engine.ownership import location_of
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.engine.reading import ReadingDesk, read_storage
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.transport import done
from taskqueue_ray.storage.location import open_filesystem


def open_for_reading(settings: Settings) -> TaskQueue:
    """The queue as its folder holds it now. Moves and enqueues are refused.

    Raises `StorageUnusable` where there is no queue, and `StorageCorrupt`.
    """
    location = location_of(settings)
    desk = ReadingDesk(read_storage(open_filesystem(location)))
    # Without the queue's key what is sealed stays so: this one opens nothing.
    keyring = keyring_of(settings) or Keyring([Key(secrets.token_bytes(KEY_SIZE))])
    return TaskQueue(
        _DeskTransport(desk),
        Sealer(keyring),
        location=str(location),
        is_current=False,
        timezone=settings.timezone,
    )


class _DeskTransport:
    """Asks a desk in this process."""

    def __init__(self, desk: ReadingDesk) -> None:
        self._desk = desk

    def call(self, method: str, request: bytes, timeout: float | None = None) -> bytes:
        return self._desk.answer(method, request)

    async def acall(
        self,
        method: str,
        request: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # of `Transport`; nothing waits here
    ) -> bytes:
        return await asyncio.to_thread(self._desk.answer, method, request)

    def submit(self, method: str, request: bytes) -> "Future[bytes]":
        return done(self._desk.answer(method, request))

    def close(self) -> None:
        """Nothing is held open."""
