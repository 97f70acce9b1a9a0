"""A small piece of shared memory in which an executor notes what it is running.

Its worker reads there, without a message and whatever the job code does, what to blame for a
death and what has run for too long. Slots of 16 bytes::

    slot 0        what holds the main thread: a job, or in an async executor the job whose
                  coroutine is being stepped
    slot 1 .. n   (async only) the coroutines that have begun and not ended

     0               8              16
    +---------------+---------------+
    | began (float) | ordinal (int) |     began: seconds of the monotonic clock, 0 when idle
    +---------------+---------------+

Both halves are written with one machine store each, `began` first: a reader that comes between
sees the earlier ordinal with a later time, which accuses nobody.
"""

import mmap
import os
from typing import NamedTuple


class Mark(NamedTuple):
    """A run: its ordinal, and when it (or the present step of it) began, 0.0 when it is over."""

    ordinal: int
    began: float


class Cell:
    """The shared memory of one executor. The worker makes it, the executor maps the same file."""

    __slots__ = ("_map", "began", "fd", "ordinals", "size")

    def __init__(self, fd: int, slots: int = 0) -> None:
        self.fd = fd
        self.size = 1 + slots
        self._map = mmap.mmap(fd, 16 * self.size)
        view = memoryview(self._map)
        # Slot i is began[2 * i] and ordinals[2 * i + 1]: bare stores, which cost no call.
        self.began = view.cast("d")
        self.ordinals = view.cast("Q")

    @classmethod
    def make(cls, slots: int = 0) -> "Cell":
        """A new cell in memory of its own, all idle."""
        fd = os.memfd_create("taskqueue-executor", os.MFD_CLOEXEC)
        os.ftruncate(fd, 16 * (1 + slots))
        return cls(fd, slots)

    def mark(self, slot: int, ordinal: int, began: float) -> None:
        """Note that `ordinal` holds the slot since `began`."""
        self.began[2 * slot] = began
        self.ordinals[2 * slot + 1] = ordinal

    def clear(self, slot: int) -> None:
        """Note that nothing holds the slot. Its last ordinal stays readable."""
        self.began[2 * slot] = 0.0

    def head(self) -> Mark:
        """What holds the main thread."""
        ordinal = self.ordinals[1]
        return Mark(ordinal, self.began[0])

    def running(self) -> list[Mark]:
        """All that has begun and not ended. In a sync executor that is the head."""
        first = 0 if self.size == 1 else 1
        marks = []
        for slot in range(first, self.size):
            ordinal = self.ordinals[2 * slot + 1]
            began = self.began[2 * slot]
            if began:
                marks.append(Mark(ordinal, began))
        return marks

    def latest(self) -> int:
        """The highest ordinal that has begun."""
        return max(self.ordinals[1::2])

    def close(self) -> None:
        """Unmap and close."""
        self.began.release()
        self.ordinals.release()
        self._map.close()
        os.close(self.fd)
