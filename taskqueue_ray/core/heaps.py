"""A heap that is not searched when what an entry stands for has moved on.

The entry stays until it comes to the head, or until such entries are most of the heap.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

E = TypeVar("E", bound=tuple[Any, ...])


class Heap(Generic[E]):
    """Entries in order, the smallest first; `is_current` tells those that still stand.

    At least `spare` others are borne before they are looked for.
    """

    __slots__ = ("_entries", "_is_current", "_left", "_limit", "_spare")

    def __init__(self, is_current: Callable[[E], bool], spare: int = 64) -> None:
        self._entries: list[E] = []
        self._is_current = is_current
        self._spare = self._limit = spare
        self._left = 0

    def push(self, entry: E) -> None:
        """One more."""
        if len(self._entries) >= self._limit:
            self._tidy()
        heappush(self._entries, entry)

    def head(self) -> E | None:
        """The first that stands."""
        entries = self._entries
        while entries and not self._is_current(entries[0]):
            heappop(entries)
        return entries[0] if entries else None

    def pop(self) -> E:
        """Take out what `head` gave."""
        return heappop(self._entries)

    def left(self, count: int) -> None:
        """So many entries, at most, have moved on just now, and nobody may come any more."""
        self._left += count
        if 2 * self._left > len(self._entries) + self._spare:
            self._tidy()

    def __iter__(self) -> Iterator[E]:
        """Those that stand, in order; k of them cost O(k log k), whatever the size of the heap.

        A child is never smaller than its parent, so the next one is always among the children of
        those already given.
        """
        entries = self._entries
        frontier = [(entries[0], 0)] if entries else []
        while frontier:
            entry, index = heappop(frontier)
            if self._is_current(entry):
                yield entry
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(entries):
                    heappush(frontier, (entries[child], child))

    def __len__(self) -> int:
        """How many entries there are, those that have moved on included."""
        return len(self._entries)

    def _tidy(self) -> None:
        self._entries = [entry for entry in self._entries if self._is_current(entry)]
        heapify(self._entries)
        self._limit = 2 * len(self._entries) + self._spare
        self._left = 0
