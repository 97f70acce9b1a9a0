"""What job code prints, as bounded lines."""

import asyncio
import os
from collections.abc import Callable

MAX_LINE = 2000
"""Characters of a line that are kept."""

BUDGET = 256 * 1024
"""Bytes per executor and second that are passed on; what is above is counted and dropped."""

_READ = 64 * 1024


class Output:
    """Reads the output pipe of one executor, always, so that a job never waits for a reader."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pipe: int, write: Callable[[str], None]
    ) -> None:
        os.set_blocking(pipe, False)
        self._loop = loop
        self._pipe = pipe
        self._write = write
        self._rest = b""
        self._second = 0
        self._passed = 0
        self._dropped = 0
        self._later: asyncio.TimerHandle | None = None
        self._open = True
        loop.add_reader(pipe, self._read)

    def close(self) -> None:
        """Pass on what is there, and close."""
        if not self._open:
            return
        while self._read():
            pass
        if self._rest:
            self._pass(self._rest)
        self._tell_dropped()
        if self._later is not None:
            self._later.cancel()
        self._open = False
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)

    def _read(self) -> bool:
        try:
            data = os.read(self._pipe, _READ)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._pipe)
            return False
        self._renew_budget()
        *lines, rest = (self._rest + data).split(b"\n")
        # Of a line without an end only the beginning is kept, which is what is shown of it.
        self._rest = rest[: 4 * MAX_LINE + 1]
        for line in lines:
            self._pass(line)
        return True

    def _renew_budget(self) -> None:
        second = int(self._loop.time())
        if second != self._second:
            self._second, self._passed = second, 0

    def _pass(self, line: bytes) -> None:
        if self._passed > BUDGET:
            if not self._dropped:
                # Told even if nothing more is said.
                self._later = self._loop.call_later(1.0, self._tell_dropped)
            self._dropped += 1
            return
        text = line[: 4 * MAX_LINE].decode("utf-8", "replace")
        shown = text if len(text) <= MAX_LINE else text[:MAX_LINE] + " ..."
        self._passed += len(shown) + 1
        self._write(shown)

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._write(f"({self._dropped:,} lines were dropped: too many at once)")
            self._dropped = 0
