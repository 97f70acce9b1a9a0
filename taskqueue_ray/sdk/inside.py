"""The queue as job code sees it: through the line of its executor, without Ray."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from taskqueue_ray.core.errors import KeyMissing
from taskqueue_ray.engine.configuration import configure, keyring_of
from taskqueue_ray.engine.context import Channel
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.sdk.client import TaskQueue


class ChannelTransport:
    """Implements `Transport` over an executor's channel. The channel repeats calls by itself."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="taskqueue-call")

    def call(self, method: str, request: bytes, timeout: float | None = None) -> bytes:
        """Ask and wait; the executor's own time limit is the limit."""
        return self._channel.call(method, request)

    async def acall(
        self,
        method: str,
        request: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # of the repeats inside
    ) -> bytes:
        """Ask and await."""
        return await self._channel.acall(method, request)

    def submit(self, method: str, request: bytes) -> "Future[bytes]":
        """Ask in a thread."""
        return self._threads.submit(self._channel.call, method, request)

    def close(self) -> None:
        """Nothing: the channel belongs to the executor."""


class Inside:
    """What the jobs of one executor process share: its line, its key, and a client."""

    def __init__(self, channel: Channel) -> None:
        settings = configure()
        keyring = keyring_of(settings)
        if keyring is None:
            raise KeyMissing("of the queue", [])
        self.channel = channel
        self._transport = ChannelTransport(channel)
        self.sealer = Sealer(keyring, max_size=settings.max_payload, inline=settings.inline_payload)
        self.max_batch = settings.max_batch
        self.timezone = settings.timezone
        self.client = self.connect()

    def connect(self) -> TaskQueue:
        """A client of its own, for whoever wants to close it."""
        return TaskQueue(
            self._transport,
            self.sealer,
            location="inside",
            is_current=False,
            max_batch=self.max_batch,
            timezone=self.timezone,
        )


def inside(channel: Channel) -> Inside:
    """What is shared over this channel; made at first use. Raises `KeyMissing`."""
    with _lock:
        found = _found.get("here")
        if found is None or found.channel is not channel:
            found = _found["here"] = Inside(channel)
        return found


_found: dict[str, Inside] = {}
_lock = threading.Lock()
