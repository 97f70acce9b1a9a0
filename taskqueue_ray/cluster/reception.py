"""Where executors that Ray has started report to their worker, and get their line and their cell.

One on this machine connects to a socket here and is handed descriptors, as a forked one is. For one
elsewhere the worker stands in: it passes on bytes that come and go by Ray calls.
"""

import asyncio
import os
import secrets
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from taskqueue_ray.cluster.executor_slot import ExecutorSlot

TOKEN = 16
"""Bytes of the word by which an executor is known."""

HELLO_PATIENCE = 5.0
_PIECE = 64 * 1024
_CREDENTIALS = struct.Struct("3i")


class Reception:
    """Awaits executors. `arrived` gets the number, the process id (0: unknown), whether it is far.

    All on one event loop.
    """

    def __init__(self, arrived: Callable[[int, int, bool], None]) -> None:
        self._arrived = arrived
        self._awaited: dict[bytes, ExecutorSlot] = {}
        self._far: dict[bytes, socket.socket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self.address = ""
        """The name of the socket, without its leading zero byte: it is in no folder."""

    def open(self) -> None:
        """Begin to listen."""
        self.address = f"taskqueue-{os.getpid()}-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.bind(f"\0{self.address}")
        self._socket.listen(128)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def expect(self, slot: ExecutorSlot) -> bytes:
        """The token with which the slot's executor will come."""
        token = secrets.token_bytes(TOKEN)
        self._awaited[token] = slot
        return token

    def forget(self, token: bytes) -> None:
        """The executor of this token has ended, or will not come."""
        if slot := self._awaited.pop(token, None):
            for fd in slot.endowment():
                os.close(fd)
        if line := self._far.pop(token, None):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # which ends a wait for what it says
            line.close()

    async def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for token in [*self._awaited, *self._far]:
            self.forget(token)

    # --- here ------------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._socket is not None
        with suppress(BlockingIOError, ConnectionError):
            guest, _ = self._socket.accept()
            guest.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._receive(guest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _receive(self, guest: socket.socket) -> None:
        with guest, suppress(OSError, TimeoutError):
            pid, user, _ = _CREDENTIALS.unpack(
                guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            async with asyncio.timeout(HELLO_PATIENCE):
                token = await asyncio.get_running_loop().sock_recv(guest, TOKEN)
            if user != os.getuid() or token not in self._awaited:
                return
            slot = self._awaited.pop(token)
            gifts = slot.endowment()
            try:
                socket.send_fds(guest, [b"\x01"], gifts[:2])
            finally:
                for fd in gifts:
                    os.close(fd)
            self._arrived(slot.number, pid, False)

    # --- elsewhere -------------------------------------------------------------------------------

    def attach(self, token: bytes) -> bool:
        """An executor on another machine has come; False: nobody waits for it."""
        slot = self._awaited.pop(token, None)
        if slot is None:
            return False
        channel, *others = slot.endowment()
        for fd in others:
            os.close(fd)
        line = self._far[token] = socket.socket(fileno=channel)
        line.setblocking(False)
        self._arrived(slot.number, 0, True)
        return True

    async def carry_in(self, token: bytes, data: bytes) -> bool:
        """Take what it says; False: it is no longer listened to."""
        if (line := self._far.get(token)) is None:
            return False
        with suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(line, data)
            return True
        return False

    async def carry_out(self, token: bytes) -> bytes:
        """What is to be said to it, once there is something; nothing: it is to end."""
        if (line := self._far.get(token)) is None:
            return b""
        with suppress(OSError):
            return await asyncio.get_running_loop().sock_recv(line, _PIECE)
        return b""
