"""The worker's end of an executor's channel, on the worker's event loop."""

import asyncio
import socket
from collections.abc import Callable

from taskqueue_ray.executor.messages import Frames, Order, Report, decode_report, frame

_READ = 256 * 1024


class Link:
    """Sends orders without waiting, and hands each report to `take`.

    An end of the stream is no news here: the fork server tells when an executor has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        channel: socket.socket,
        take: Callable[[Report], None],
    ) -> None:
        channel.setblocking(False)
        self._loop = loop
        self._socket = channel
        self._take = take
        self._frames = Frames()
        self._unsent = bytearray()
        self._open = True
        loop.add_reader(channel.fileno(), self._read)

    def send(self, order: Order) -> None:
        """Send an order; what the socket does not take at once goes when it can."""
        if not self._open:
            return
        data = frame(order)
        if not self._unsent:
            data = data[self._send(data) :]
            if data:
                self._loop.add_writer(self._socket.fileno(), self._write)
        self._unsent += data

    def drain(self) -> None:
        """Take what has arrived and was not looked at yet."""
        while self._open and self._read():
            pass

    def close(self) -> None:
        """Stop listening, and close."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _read(self) -> bool:
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        if not data:
            self._loop.remove_reader(self._socket.fileno())
            return False
        for body in self._frames.feed(data):
            self._take(decode_report(body))
        return True

    def _write(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except ConnectionError:
            return len(data)  # nobody will read it
