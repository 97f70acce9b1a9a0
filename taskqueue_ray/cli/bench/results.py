"""Figures of repeated runs, each beside its yardstick of the same run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure: what it is, its unit, and the yardstick that it is divided by."""

    name: str
    title: str
    unit: str
    yardstick: str | None = None


RAW = Measure("raw_tasks", "raw Ray tasks (yardstick)", "/s")
TRIP = Measure("round_trip", "bare actor round trip, p50 (yardstick)", "ms")
IDLE_TRIP = Measure("idle_round_trip", "bare round trip after a pause of 20 ms, p50", "ms")
ACTOR = Measure("actor_start", "start of a bare actor (yardstick)", "ms")
FSYNC = Measure("fsync", "fdatasync of 512 bytes, p50", "ms")
E2E = Measure("end_to_end", "end to end", "/s", RAW.name)
AGAIN = Measure("drain_again", "drain, all jobs ready at once", "/s", RAW.name)
MEASURES = (
    RAW,
    TRIP,
    FSYNC,
    Measure("enqueue_one_by_one", "enqueue one by one", "/s", "trips_per_second"),
    Measure("enqueue_pipeline", "enqueue in a pipeline", "/s", RAW.name),
    Measure("enqueue_many", "enqueue many", "/s", RAW.name),
    E2E,
    Measure("vectorized", "… of 64 in one call", "/s", E2E.name),
    Measure("unique", "… each with a unique key", "/s", E2E.name),
    Measure("fair", "… of 1,000 fair keys in turn", "/s", E2E.name),
    Measure("limited", "… under a limit that has room", "/s", E2E.name),
    Measure("beside_closed", "… beside jobs that a limit holds", "/s", E2E.name),
    Measure("fan_in", "… all parents of one job", "/s", E2E.name),
    Measure("in_actors", "end to end in Ray actors", "/s", RAW.name),
    Measure("naps", "async jobs of 20 ms on one executor", "/s"),
    Measure("drain", "drain of a backlog, workers starting", "/s", RAW.name),
    AGAIN,
    Measure("drain_fair", "… of 1,000 fair keys in turn", "/s", AGAIN.name),
    Measure("drain_parked", "… beside a paused queue with a backlog", "/s", AGAIN.name),
    Measure("enqueue_p50", "durable enqueue, p50", "ms", TRIP.name),
    Measure("pipelined_enqueue_p50", "pipelined enqueue, p50", "ms"),
    Measure("result_p50", "enqueue to result, p50", "ms", TRIP.name),
    IDLE_TRIP,
    Measure("idle_result_p50", "enqueue to result after such a pause, p50", "ms", IDLE_TRIP.name),
    ACTOR,
    Measure("burst", "a burst on a pool without workers, to the first result", "ms", ACTOR.name),
    Measure("executor_memory", "private memory of an executor, plain jobs", "MiB"),
    Measure("waiting_job_memory", "queue actor's memory per waiting job", "B"),
    Measure("recovery", "recovery of the waiting jobs after kill -9", "s"),
)


@dataclass(slots=True)
class Results:
    """The figures of all repeats, by the names of the measures."""

    runs: list[dict[str, float]] = field(default_factory=list)

    def add(self, run: Mapping[str, float]) -> None:
        """One repeat."""
        self.runs.append({**run, "trips_per_second": 1000.0 / run[TRIP.name]})

    def value(self, measure: Measure) -> float:
        """The median over the repeats."""
        return median(run[measure.name] for run in self.runs)

    def ratio(self, measure: Measure) -> float | None:
        """The median of the ratios, each to the yardstick of its own repeat."""
        by = measure.yardstick
        if by is None:
            return None
        return median(run[measure.name] / run[by] for run in self.runs)

    def figures(self) -> dict[str, dict[str, Any]]:
        """All of it as plain data."""
        return {
            measure.name: {
                "title": measure.title,
                "unit": measure.unit,
                "median": self.value(measure),
                "runs": [run[measure.name] for run in self.runs],
                "yardstick": measure.yardstick,
                "ratio": self.ratio(measure),
            }
            for measure in MEASURES
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row for each figure."""
        return [self._row(measure) for measure in MEASURES]

    def _row(self, measure: Measure) -> dict[str, Any]:
        ratio = self.ratio(measure)
        value = self.value(measure)
        runs = [run[measure.name] for run in self.runs]
        return {
            "measure": measure.title,
            "median": f"{_rounded(value)} {measure.unit}",
            "from_to": f"{_rounded(min(runs))} to {_rounded(max(runs))}" if len(runs) > 1 else None,
            "ratio": None if ratio is None else f"{ratio:.1f} x",
            "to": _TO.get(measure.yardstick or ""),
        }


_TO = {
    RAW.name: "raw Ray tasks",
    TRIP.name: "round trip",
    IDLE_TRIP.name: "the like round trip",
    ACTOR.name: "start of an actor",
    E2E.name: "end to end",
    AGAIN.name: "the like drain",
    "trips_per_second": "round trips/s",
}


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
