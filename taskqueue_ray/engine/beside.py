"""Work on files that the engine must not wait for, and where it is done."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Beside(Protocol):
    """Does work elsewhere and calls `done` with what it returned, on the engine's thread.

    The work must not raise. What is written is done one after another, in the order given.
    """

    def write(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do this after all that was given to `write` before."""

    def read(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do this soon."""


class AtOnce:
    """Does it here and now: for tests and tools that nothing waits for."""

    def write(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do it."""
        done(work())

    def read(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do it."""
        done(work())


AT_ONCE = AtOnce()


class Threads:
    """Threads of its own: one that writes, two that read.

    `call_soon(callback, argument)` is as in `writer.JournalWriter`.
    """

    def __init__(self, call_soon: Callable[[Callable[[Any], None], Any], object]) -> None:
        self._call_soon = call_soon
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="blob-writer")
        self._reading = ThreadPoolExecutor(2, thread_name_prefix="blob-reader")

    def write(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Give it to the writing thread."""
        self._writing.submit(self._run, work, done)

    def read(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Give it to a reading thread."""
        self._reading.submit(self._run, work, done)

    def close(self) -> None:
        """Wait for what is under way; what was not begun is dropped."""
        for threads in (self._writing, self._reading):
            threads.shutdown(cancel_futures=True)

    def _run(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        self._call_soon(done, work())
