"""The worker's line to its fork server: starts it, asks for executors, hears of their ends."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping

from taskqueue_ray.core.model import ExecutorKind
from taskqueue_ray.executor.messages import (
    CONTROL_LIMIT,
    ControlOrder,
    ControlReport,
    Fork,
    Kill,
    Preload,
    decode_control_report,
    encode,
)

_MODULE = "taskqueue_ray.executor.forkserver"


class ForkLine:
    """One fork server process. `take` gets its reports; `lost` is called once when it has died.

    The server ends, with all that it forked, when this end is closed or its process dies.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[ControlReport], None],
        lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._take = take
        self._lost = lost
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._socket, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._process: subprocess.Popen[bytes] | None = None
        self._open = True

    @property
    def pid(self) -> int:
        """The server's process id; 0 before the start."""
        return self._process.pid if self._process else 0

    def start(self, environment: Mapping[str, str], preload: Preload) -> None:
        """Start the server as a clean interpreter in a session of its own."""
        fd = self._theirs.fileno()
        # Where this process finds its modules, the server must find them to start at all.
        search = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(fd), environment.get("PYTHONPATH", "")],
            env={**environment, "PYTHONPATH": search},
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_descriptor(sys.stderr) else subprocess.DEVNULL,
            start_new_session=True,
        )
        self._theirs.close()
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._send(preload)

    def fork(self, number: int, kind: ExecutorKind, slots: int, fds: list[int]) -> None:
        """Ask for an executor with these descriptors: channel, cell, output. They are closed."""
        self._send(Fork(number, kind, slots), fds)

    def kill(self, number: int) -> None:
        """Ask for the death of an executor."""
        self._send(Kill(number))

    def close(self) -> None:
        """Hang up, upon which the server kills what it forked and ends."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            for _, fds in self._unsent:
                _close_all(fds)
            self._unsent.clear()

    def end(self, patience: float) -> None:
        """Hang up and wait for the server's end, at most `patience` seconds. Blocks."""
        self.close()
        if self._process is None:
            self._theirs.close()
            return
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        while self._open:
            try:
                data = self._socket.recv(CONTROL_LIMIT)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                self.close()
                self._lost()
                return
            self._take(decode_control_report(data))

    def _send(self, order: ControlOrder, fds: list[int] | None = None) -> None:
        self._unsent.append((encode(order), fds or []))
        self._write()

    def _write(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                socket.send_fds(self._socket, [data], fds)
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._write)
                return
            except OSError:  # it has died, which `_read` finds out too
                pass
            self._unsent.popleft()
            _close_all(fds)
        if self._open:
            self._loop.remove_writer(self._socket.fileno())


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _has_descriptor(stream: object) -> bool:
    try:
        return bool(stream.fileno() >= 0)  # type: ignore[attr-defined]  # asked by trying
    except (AttributeError, OSError, ValueError):
        return False
