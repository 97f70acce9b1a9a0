"""How long jobs take here, and how many of them are worth having in hand."""

from collections import Counter
from collections.abc import Iterable

AHEAD = 0.05
"""Seconds of work per executor that a worker likes to hold beyond what runs."""

LONG = 1.0
"""Seconds of run time behind which no other job should have to wait in a worker's hands."""

DEEP = 500
"""The most jobs per executor that it holds, however fast they are."""

CHUNK = 0.02
"""Seconds of work that one executor is given at a time."""

CHUNK_JOBS = 384
"""The most jobs that one executor is given at a time."""

_UNKNOWN = 0.01
_WEIGHT = 0.2
_MAX_TYPES = 10_000


class Pace:
    """Moving averages of run times, by job type and over all."""

    def __init__(self) -> None:
        self._types: dict[str, float] = {}
        self._mean: float | None = None

    def of(self, type_name: str) -> float:
        """The expected run time of a job of the type, in seconds."""
        return self._types.get(type_name, _UNKNOWN)

    def ahead(self) -> int:
        """How many jobs per executor to hold beyond the one that runs."""
        mean = _UNKNOWN if self._mean is None else self._mean
        if mean > LONG:
            return 0
        return min(DEEP, max(1, int(AHEAD / max(mean, 1e-6))))

    def note(self, runs: Iterable[tuple[str, float]]) -> None:
        """Take in run times that were measured together."""
        sums: dict[str, tuple[int, float]] = {}
        for type_name, seconds in runs:
            count, total = sums.get(type_name, (0, 0.0))
            sums[type_name] = (count + 1, total + seconds)
        if len(self._types) > _MAX_TYPES:
            self._types.clear()
        for type_name, (count, total) in sums.items():
            mean = total / count
            before = self._types.get(type_name)
            # One sample more of many: a batch moves the average further than a single run does.
            weight = 1.0 - (1.0 - _WEIGHT) ** count
            self._types[type_name] = mean if before is None else before + weight * (mean - before)
            overall = mean if self._mean is None else self._mean
            self._mean = overall + weight * (mean - overall)


def shared(runs: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Run times that were measured together, those of one call of many jobs divided among them.

    Jobs of one call have the very same time, to the last bit, and come in one report.
    """
    company = Counter(runs)
    return [(type_name, seconds / company[type_name, seconds]) for type_name, seconds in runs]
