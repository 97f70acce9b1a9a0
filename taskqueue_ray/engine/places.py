"""Where a list of jobs goes on, found without walking to it."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

from taskqueue_ray.core.model import Job

SLACK = 64
CHUNK = 256


class Places:
    """The jobs of a list in the order of (`place`, `key`), for lists that go on from a place.

    Jobs come in at the end only, with a place that is no lower than any before. It is kept up when
    it is asked for, so that nobody pays for it while nobody lists. It holds no job, only keys;
    those of jobs that have gone stay until they are most of it. `ties` says that jobs may share a
    place.
    """

    def __init__(
        self, place: Callable[[Job], float], key: Callable[[Job], bytes], *, ties: bool
    ) -> None:
        self._place = place
        self._key = key
        self._ties = ties
        self._at = array("d")
        self._keys: list[bytes] = []

    def __len__(self) -> int:
        return len(self._keys)

    def clear(self) -> None:
        """Forget all; the next `update` makes it anew."""
        self._at = array("d")
        self._keys = []

    def update(self, newest_first: Iterable[Job], size: int) -> None:
        """Take in what came since. `size` is how many jobs there are now."""
        if len(self._keys) > 2 * size + SLACK:
            self.clear()
        fresh = self._not_before_the_last(newest_first)
        fresh.reverse()
        if self._ties:
            fresh.sort(key=lambda job: (self._place(job), self._key(job)))
        places = array("d", map(self._place, fresh))
        cut = bisect_left(self._at, places[0]) if places else len(self._at)
        del self._at[cut:], self._keys[cut:]
        self._at.extend(places)
        self._keys.extend(map(self._key, fresh))

    def after(self, place: float, key: bytes) -> Iterator[tuple[float, bytes]]:
        """Places and keys beyond this one, whether its job is still there or not."""
        first = bisect_left(self._at, place)
        start = bisect_right(self._keys, key, first, bisect_right(self._at, place, first))
        for index in range(start, len(self._keys), CHUNK):
            end = index + CHUNK
            yield from zip(self._at[index:end], self._keys[index:end], strict=True)

    def _not_before_the_last(self, newest_first: Iterable[Job]) -> list[Job]:
        if not self._at:
            return list(newest_first)
        # Those at the last place itself again: others may have come in among them.
        place, last = self._place, self._at[-1]
        return list(takewhile(lambda job: place(job) >= last, newest_first))
