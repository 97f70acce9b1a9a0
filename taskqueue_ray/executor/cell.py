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

A sync executor's cell goes on with the jobs of its latest vectorized call: how many they are, and
their ordinals. They hold the main thread together as long as slot 0 names the first of them. A
plain job costs its two stores and no more: with its ordinal in slot 0 the list is out of date.
"""

import mmap
import os
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from taskqueue_ray.core.batching import MAX_SIZE

_COUNT, _FIRST = 2, 3
"""Where the list of a call's jobs stands, in words of 8 bytes."""


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
        self._map = mmap.mmap(fd, _bytes(slots))
        view = memoryview(self._map)
        # Slot i is began[2 * i] and ordinals[2 * i + 1]: bare stores, which cost no call.
        self.began = view.cast("d")
        self.ordinals = view.cast("Q")

    @classmethod
    def make(cls, slots: int = 0) -> "Cell":
        """A new cell in memory of its own, all idle."""
        fd = os.memfd_create("taskqueue-executor", os.MFD_CLOEXEC)
        os.ftruncate(fd, _bytes(slots))  # pages that nobody writes to cost nothing
        return cls(fd, slots)

    def mark(self, slot: int, ordinal: int, began: float) -> None:
        """Note that `ordinal` holds the slot since `began`."""
        self.began[2 * slot] = began
        self.ordinals[2 * slot + 1] = ordinal

    def mark_all(self, ordinals: Sequence[int], began: float) -> None:
        """Note that the jobs of one call, at least one, hold the main thread since `began`."""
        words = self.ordinals
        words[_FIRST] = 0  # it is nobody's list while it is being written
        words[_COUNT] = len(ordinals)
        words[_FIRST + 1 : _FIRST + len(ordinals)] = array("Q", ordinals[1:])
        words[_FIRST] = ordinals[0]
        self.began[0] = began
        words[1] = ordinals[0]

    def clear(self, slot: int) -> None:
        """Note that nothing holds the slot. Its last ordinal stays readable."""
        self.began[2 * slot] = 0.0

    def head(self) -> Mark:
        """What holds the main thread."""
        ordinal = self.ordinals[1]
        return Mark(ordinal, self.began[0])

    def running(self) -> list[Mark]:
        """All that has begun and not ended. In a sync executor that is the head, or its call."""
        if self.size == 1:
            head = self.head()
            return [Mark(one, head.began) for one in self._call_of(head)] if head.began else []
        marks = []
        for slot in range(1, self.size):
            ordinal = self.ordinals[2 * slot + 1]
            began = self.began[2 * slot]
            if began:
                marks.append(Mark(ordinal, began))
        return marks

    def latest(self) -> int:
        """The highest ordinal that has begun."""
        if self.size == 1:
            return max(self.ordinals[1], *self._listed())
        return max(self.ordinals[1::2])

    def _call_of(self, head: Mark) -> list[int]:
        """The ordinals of the call that has this head."""
        if self.ordinals[_FIRST] != head.ordinal:
            return [head.ordinal]
        listed = self._listed()
        # Another call may have been noted meanwhile; then this one is over.
        return listed if listed[0] == head.ordinal == self.ordinals[1] else [head.ordinal]

    def _listed(self) -> list[int]:
        count = min(max(1, self.ordinals[_COUNT]), MAX_SIZE)
        return self.ordinals[_FIRST : _FIRST + count].tolist()

    def close(self) -> None:
        """Unmap and close."""
        self.began.release()
        self.ordinals.release()
        self._map.close()
        os.close(self.fd)


def _bytes(slots: int) -> int:
    return 16 * (1 + slots) if slots else 8 * (_FIRST + MAX_SIZE)
