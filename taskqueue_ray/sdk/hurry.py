"""A connection for those who cannot wait: a web server, whose visitors do."""

from taskqueue_ray.sdk.transport import Answer, Transport

SLOW = {"history": 60.0, "search": 30.0, "past": 15.0, "prune": 120.0}
"""Seconds that methods may take which read or write the history, besides."""


class Hurried:
    """A transport of another connection, each of whose calls ends within some seconds.

    A call that the queue does not answer in time raises `Unavailable`. A watch is held as long as
    it asks for. Closing it leaves the other connection open.
    """

    def __init__(self, transport: Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds

    def call(self, method: str, request: bytes, timeout: float | None = None) -> bytes:
        """Ask and wait."""
        return self._transport.call(method, request, timeout or self._limit(method))

    async def acall(
        self,
        method: str,
        request: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # of the repeats inside
    ) -> bytes:
        """Ask and await."""
        return await self._transport.acall(method, request, timeout or self._limit(method))

    def submit(self, method: str, request: bytes) -> Answer:
        """Ask without waiting."""
        return self._transport.submit(method, request)

    def close(self) -> None:
        """Nothing is held open."""

    def _limit(self, method: str) -> float | None:
        return None if method == "watch" else self._seconds + SLOW.get(method, 0.0)
