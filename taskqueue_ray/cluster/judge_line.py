"""The alert actor's line to the process that runs the functions of rules."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping

from taskqueue_ray.executor.judging import (
    LARGEST,
    LENGTH,
    Answer,
    Question,
    decode_answer,
    encode,
)
from taskqueue_ray.executor.kernel import kill_group

_MODULE = "taskqueue_ray.executor.judging"
START = 20.0
"""Seconds that the process has to start, besides the time for its first answer."""


class JudgeLine:
    """One process at a time, started with the first question, and again after it has died.

    `environment` is what it sees, the keys included.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._fresh = True
        self._one_at_a_time = asyncio.Lock()

    @property
    def pid(self) -> int:
        """The process's id; 0 when there is none."""
        return self._process.pid if self._process else 0

    async def ask(self, question: Question, patience: float) -> Answer:
        """The answer; one that does not come within `patience` seconds is a problem too."""
        async with self._one_at_a_time:
            try:
                line = self._line or self._start()
                async with asyncio.timeout(patience + START * self._fresh):
                    answer = await self._exchange(line, question)
                self._fresh = False
                return answer
            except TimeoutError:
                self.close()
                return Answer(problem=f"it did not end within {patience:g} s, and was killed")
            except (OSError, EOFError):
                self.close()
                return Answer(problem="it ended the process that ran it")
            except asyncio.CancelledError:
                self.close()
                raise

    def close(self) -> None:
        """End the process, and what it has started."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.wait()
        self._line, self._process, self._fresh = None, None, True

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        # Where this process finds its modules, the other must find them to start at all.
        search = os.pathsep.join(path for path in sys.path if path)
        with theirs:
            # From this thread, which lives as long as the actor: its end ends the child.
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(theirs.fileno())],
                env={**self._environment, "PYTHONPATH": search},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._line = ours
        return ours

    async def _exchange(self, line: socket.socket, question: Question) -> Answer:
        loop = asyncio.get_running_loop()
        data = encode(question)
        await loop.sock_sendall(line, len(data).to_bytes(LENGTH, "big") + data)
        length = int.from_bytes(await self._read(line, LENGTH), "big")
        if length > LARGEST:
            raise EOFError
        return decode_answer(await self._read(line, length))

    async def _read(self, line: socket.socket, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < size:
            part = await loop.sock_recv(line, size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)
