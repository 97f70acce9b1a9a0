"""Which queue and type a measurement is for: a bounded number of names, however many there are."""

from taskqueue_ray.core.model import Options

OTHER = "other"
"""What is beyond the bound."""

MOST_QUEUES = 100
MOST_SERIES = 100
_CACHED = 4096

Series = tuple[str, str]
"""A queue and a type."""


class Names:
    """The first names that come have series of their own; later ones share one."""

    def __init__(self) -> None:
        self._series: set[Series] = set()
        self._queues: set[str] = set()
        # The options are kept with it, so that no other ones get the same identity.
        self._cache: dict[int, tuple[Options, Series]] = {}

    def of(self, options: Options) -> Series:
        """The series of jobs with these options."""
        found = self._cache.get(id(options))
        if found is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            found = self._cache[id(options)] = (options, self._find(options.queue, options.type))
        return found[1]

    def _find(self, queue: str, type_name: str) -> Series:
        if queue not in self._queues and len(self._queues) >= MOST_QUEUES:
            return (OTHER, OTHER)
        self._queues.add(queue)
        series = (queue, type_name)
        if series not in self._series and len(self._series) >= MOST_SERIES:
            return (queue, OTHER)
        self._series.add(series)
        return series
