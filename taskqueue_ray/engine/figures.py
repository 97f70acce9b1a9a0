"""Figures of the queue over time: what alert rules compare with their limits.

Rates come from samples of counters, kept for as long as their window and for no longer.
"""

from collections import deque
from collections.abc import Mapping

from taskqueue_ray.core.alerts import EACH, Threshold
from taskqueue_ray.core.gauges import GAUGES, LEAST_ENDED, LONG_WINDOW, WINDOW
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.observation import Observation

SAMPLES = 30
"""Samples in a window, at most: a window is exact to one part in so many."""

Figures = Mapping[str, Mapping[str, float]]
"""By name and queue; `""` is the whole."""


class Growth:
    """How much a counter has grown in the last `window` seconds. What it loses does not count."""

    __slots__ = ("_grown", "_last", "_samples", "_window")

    def __init__(self, window: float) -> None:
        self._window = window
        self._samples: deque[tuple[float, float]] = deque()
        self._grown = 0.0
        self._last: float | None = None

    def take(self, at: float, value: float) -> float:
        """Note the counter at a time, and how much it has grown in the window that ends then."""
        if self._last is not None:
            self._grown += max(0.0, value - self._last)
        self._last = value
        samples = self._samples
        if not samples or at - samples[-1][0] >= self._window / SAMPLES:
            samples.append((at, self._grown))
        while len(samples) > 1 and samples[1][0] <= at - self._window:
            samples.popleft()
        return self._grown - samples[0][1]


class Tracker:
    """Makes figures of observations, one after another."""

    def __init__(self) -> None:
        self._growth: dict[tuple[str, str], Growth] = {}

    def take(self, seen: Observation, around: Mapping[str, float]) -> Figures:
        """The figures of an observation; `around` are those of what is around the queue."""
        figures: dict[str, dict[str, float]] = {name: {} for name in GAUGES}
        for one in seen.queues:
            for state in JobState:
                figures[state.value][one.queue] = float(one.counts.get(state, 0))
            figures["total"][one.queue] = float(one.total)
        for name, by_queue in seen.gauges.items():
            figures.setdefault(name, {}).update(by_queue)
        self._rates(seen, figures)
        for name, by_queue in figures.items():
            _add_whole(name, by_queue)
        figures["workers"][""] = float(len(seen.workers))
        figures["running"][""] = float(sum(len(one.running) for one in seen.workers))
        for name, value in around.items():
            figures[name][""] = value
        return figures

    def _rates(self, seen: Observation, figures: dict[str, dict[str, float]]) -> None:
        sums = [0.0, 0.0, 0.0]
        for one in seen.queues:
            completed, failed, retried = (
                self._grown(name, one.queue, seen.at, value)
                for name, value in (
                    ("completed", one.ever(JobState.COMPLETED)),
                    ("failed", one.ever(JobState.FAILED)),
                    ("retries", one.retries),
                )
            )
            sums = [sums[0] + completed, sums[1] + failed, sums[2] + retried]
            figures["completed_rate"][one.queue] = completed / WINDOW
            figures["retries"][one.queue] = retried
            _share(figures["failure_rate"], one.queue, completed, failed + retried)
        _share(figures["failure_rate"], "", sums[0], sums[1] + sums[2])
        for name, by_queue in seen.counters.items():
            window = LONG_WINDOW if name == "poisoned" else WINDOW
            for queue, value in by_queue.items():
                grown = self._grown(name, queue, seen.at, value, window)
                figures.setdefault(name, {})[queue] = grown

    def _grown(
        self, name: str, queue: str, at: float, value: float, window: float = WINDOW
    ) -> float:
        found = self._growth.get((name, queue))
        if found is None:
            found = self._growth[name, queue] = Growth(window)
        return found.take(at, value)


def judge(when: Threshold, figures: Figures) -> tuple[bool, float | None, str]:
    """Whether a threshold is crossed, by what, and in words. What has no value crosses none."""
    by_queue = figures.get(when.metric, {})
    if when.queue != EACH:
        value = by_queue.get(when.queue or "")
        whose = when.queue or ""
    else:
        own = {queue: value for queue, value in by_queue.items() if queue}
        beyond = max if when.op[0] == ">" else min
        whose = beyond(own, key=own.__getitem__, default="")
        value = own.get(whose)
    if value is None:
        return False, None, ""
    of = f" of {whose}" if whose else ""
    words = f"{when.metric}{of} is {_shown(value)}, limit {when.op} {when.value:,.10g}"
    return when.holds(value), value, words


def _add_whole(name: str, by_queue: dict[str, float]) -> None:
    """What all queues have together, unless it was worked out in another way."""
    gauge = GAUGES.get(name)
    if "" in by_queue or gauge is None or not gauge.by_queue or name == "failure_rate":
        return
    if not gauge.worst:
        by_queue[""] = sum(by_queue.values())
    elif by_queue:
        by_queue[""] = max(by_queue.values())


def _share(figures: dict[str, float], queue: str, good: float, bad: float) -> None:
    if good + bad >= LEAST_ENDED:
        figures[queue] = bad / (good + bad)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"
