"""What a predicate of an alert rule is given, by the names of its parameters."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.observation import Observation

PARAMETERS = ("stats", "workers", "metrics", "nodes")


class Node(msgspec.Struct, frozen=True):
    """A node of the Ray cluster. `resources` are all that it has."""

    id: str
    alive: bool
    host: str
    resources: dict[str, float] = {}


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What the alert actor sees at once: on its way to the process that runs predicates."""

    observation: Observation
    figures: dict[str, dict[str, float]]
    nodes: list[Node]


class Counts:
    """Counts of one queue, or of all together: every state is an attribute.

    `oldest_waiting` is in seconds, None when no job is ready.
    """

    def __init__(self, queue: str, figures: Mapping[str, Mapping[str, float]]) -> None:
        self.queue = queue
        for name in (*(state.value for state in JobState), "total", "unserved"):
            setattr(self, name, int(figures.get(name, {}).get(queue, 0)))
        self.oldest_waiting = figures.get("oldest_waiting", {}).get(queue)

    def __getattr__(self, name: str) -> int:
        raise AttributeError(f"stats have no {name!r}; they have {', '.join(vars(self))}")


class Stats(Counts):
    """Counts of all queues together; `stats["mail"]` are those of one, `.queues` are all."""

    def __init__(self, seen: Seen) -> None:
        super().__init__("", seen.figures)
        names = [one.queue for one in seen.observation.queues]
        self.queues = {name: Counts(name, seen.figures) for name in names}

    def __getitem__(self, queue: str) -> Counts:
        return self.queues.get(queue) or Counts(queue, {})


class Worker:
    """A worker: `id`, `node`, `host`, `queues`, `concurrency`, `held`, `running`, and so on.

    `running` are the ids of its jobs; `seen_ago` is in seconds.
    """

    def __init__(self, view: Any) -> None:
        info = view.info
        self.id, self.node, self.host, self.pid = info.id, info.node, info.host, info.pid
        self.queues, self.concurrency = info.queues, info.concurrency
        self.held, self.seen_ago, self.draining = view.held, view.seen_ago, view.draining
        self.running = tuple(map(to_text, view.running))


class Metrics(Mapping[str, float]):
    """Figures of the whole by name, also as attributes; `.of("mail")` are those of a queue.

    One that has no value now is not there: `metrics.get("failure_rate", 0)`.
    """

    def __init__(self, figures: Mapping[str, Mapping[str, float]], queue: str = "") -> None:
        self._figures = figures
        self._own = {name: by[queue] for name, by in figures.items() if queue in by}

    def of(self, queue: str) -> "Metrics":
        """Those of one queue."""
        return Metrics(self._figures, queue)

    def __getitem__(self, name: str) -> float:
        return self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def __getattr__(self, name: str) -> float:
        try:
            return self._own[name]
        except KeyError:
            known = ", ".join(self._own)
            raise AttributeError(f"there is no {name!r} now; there are {known}") from None


def arguments(seen: Seen, takes: tuple[str, ...]) -> dict[str, Any]:
    """What a predicate with these parameters is called with."""
    made: dict[str, Callable[[], Any]] = {
        "stats": lambda: Stats(seen),
        "workers": lambda: [Worker(view) for view in seen.observation.workers],
        "metrics": lambda: Metrics(seen.figures),
        "nodes": lambda: list(seen.nodes),
    }
    return {name: made[name]() for name in takes}
