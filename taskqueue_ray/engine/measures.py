"""What the queue measures of itself: performance in a window, and all metrics, by name.

The names follow Prometheus's conventions. A label has a bounded number of values. Counters come
out of the facts of the journal, so a restart does not set them back; histograms, as everywhere,
begin anew with the process.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from taskqueue_ray._version import VERSION
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.metering import Family, PerformanceReport, Quantiles, Sample
from taskqueue_ray.core.state import State, Totals
from taskqueue_ray.engine.fleet import Fleet, WorkerSession
from taskqueue_ray.engine.meter import Meter
from taskqueue_ray.engine.series import MOST_QUEUES, OTHER, Series
from taskqueue_ray.engine.sketches import Buckets

WINDOW = 60.0
"""Seconds over which quantiles and utilisation are told."""

MOST_HOSTS = 100
MOST_EXECUTORS = 1 << 20
"""Of one worker, whatever it says."""

_SHOWN = ("0.5", "0.95", "0.99")
Value = int | float


class Measures:
    """The measurements of one queue, for whoever asks."""

    def __init__(
        self,
        state: State,
        fleet: Fleet,
        meter: Meter,
        now: Callable[[], float],
        is_full: Callable[[], bool],
    ) -> None:
        self._state = state
        self._sessions = fleet.workers
        self._meter = meter
        self._now = now
        self._is_full = is_full

    def tick(self, now: float) -> None:
        """Time goes on."""
        self._meter.tick(now, self._executors())

    def performance(self, window: float) -> PerformanceReport:
        """The last `window` seconds. Raises `InvalidOption` for one that is not kept."""
        return self._meter.report(window, self._now())

    def families(self) -> list[Family]:
        """All metrics, each with its values now."""
        return [*self._counters(), *self._gauges(), *self._speed(), *self._histograms()]

    # --- one kind after the other ---------------------------------------------------------

    def _counters(self) -> Iterator[Family]:
        final = [state for state in JobState if state.final]
        yield _counter(
            "jobs_enqueued", "Jobs that were enqueued.", ("queue",),
            self._by_queue(lambda of: [((), of.ever_enqueued())]),
        )  # fmt: skip
        yield _counter(
            "jobs_ended", "Jobs that came into a final state.", ("queue", "state"),
            self._by_queue(lambda of: [((one.value,), of.ever(one)) for one in final]),
        )  # fmt: skip
        yield _counter(
            "job_retries", "Failed attempts after which another followed.", ("queue",),
            self._by_queue(lambda of: [((), of.retries)]),
        )  # fmt: skip
        yield _counter(
            "job_losses", "Runs whose worker vanished.", ("queue",),
            self._by_queue(lambda of: [((), of.losses)]),
        )  # fmt: skip
        yield _counter(
            "jobs_redriven", "Dead letters that were sent again.", ("queue",),
            self._by_queue(lambda of: [((), of.redriven)]),
        )  # fmt: skip
        yield _counter(
            "openings", "How often a process has begun to serve the queue.", (),
            [((), self._state.epoch)],
        )  # fmt: skip

    def _gauges(self) -> Iterator[Family]:
        now = self._now()
        yield _gauge(
            "jobs", "Jobs that wait or run, and dead letters.", ("queue", "state"),
            self._by_queue(lambda of: [((one.value,), of.counts[one]) for one in _PRESENT]),
        )  # fmt: skip
        yield _gauge(
            "oldest_waiting_seconds", "Age of the oldest job that could run and does not.",
            ("queue",), self._ages(now),
        )  # fmt: skip
        paused = [name for kind, name in self._state.pauses if kind == "queue"]
        yield _gauge(
            "queue_paused", "1 for each queue that is paused.", ("queue",),
            [((name,), 1) for name in paused[:MOST_QUEUES]],
        )  # fmt: skip
        states = Counter("draining" if s.draining else "working" for s in self._registered())
        yield _gauge(
            "workers", "Workers that the queue knows.", ("state",),
            [((state,), states[state]) for state in ("working", "draining")],
        )  # fmt: skip
        yield _gauge("executors", "Executors of all workers.", (), [((), self._executors())])
        yield from self._hosts()
        yield _gauge(
            "storage_full", "1 while the disk is too full to take in jobs.", (),
            [((), int(self._is_full()))],
        )  # fmt: skip
        yield _gauge("build_info", "The version that serves.", ("version",), [((VERSION,), 1)])

    def _hosts(self) -> Iterator[Family]:
        memory, cpu = Counter[str](), Counter[str]()
        for session in self._registered():
            host = session.info.host if session.info else ""
            if host not in memory and len(memory) >= MOST_HOSTS:
                host = OTHER
            memory[host] += session.vitals.memory + session.vitals.executors_memory
            cpu[host] += round(session.vitals.cpu * 1000)
        yield _gauge(
            "worker_memory_bytes", "Memory of workers and their executors.", ("host",),
            [((host,), of) for host, of in memory.items()],
        )  # fmt: skip
        yield _gauge(
            "worker_cpu_cores", "Cores that workers and their executors use.", ("host",),
            [((host,), of / 100_000) for host, of in cpu.items()],
        )  # fmt: skip

    def _speed(self) -> Iterator[Family]:
        report = self.performance(WINDOW)
        busy = report.rows[0].busy
        yield _gauge("jobs_running", "Runs at a time, on the average of a minute.", (),
                     [((), busy)])  # fmt: skip
        used = min(1.0, busy / report.capacity) if report.capacity else 0.0
        yield _gauge("utilization_ratio", "Part of the executors that was busy, of a minute.",
                     (), [((), used)])  # fmt: skip
        rows = [row for row in report.rows if row.queue and not row.type]
        for name, what in (("wait", "waiting"), ("run", "running")):
            yield _gauge(
                f"job_{name}_quantile_seconds", f"Quantiles of {what} time, of a minute.",
                ("queue", "quantile"),
                [
                    ((row.queue, shown), value)
                    for row in rows
                    for shown, value in _quantiles(getattr(row, what))
                ],
            )  # fmt: skip

    def _histograms(self) -> Iterator[Family]:
        meter = self._meter
        yield _histogram("job_wait_seconds", "From when a job could run until it was leased.",
                         meter.waited)  # fmt: skip
        yield _histogram("job_run_seconds", "How long runs took, failed ones included.",
                         meter.ran)  # fmt: skip

    # --- what they are made of ------------------------------------------------------------

    def _registered(self) -> list[WorkerSession]:
        return [one for one in self._sessions.values() if one.info is not None]

    def _executors(self) -> int:
        said = (one.info.concurrency for one in self._sessions.values() if one.info is not None)
        return sum(min(max(0, one), MOST_EXECUTORS) for one in said)

    def _by_queue(
        self, read: Callable[[Totals], list[tuple[tuple[str, ...], Value]]]
    ) -> list[tuple[tuple[str, ...], Value]]:
        """Of each of the first queues, and of all later ones together."""
        found: dict[tuple[str, ...], Value] = {}
        for place, (queue, totals) in enumerate(self._state.totals.items()):
            name = queue if place < MOST_QUEUES else OTHER
            for labels, value in read(totals):
                found[name, *labels] = found.get((name, *labels), 0) + value
        return list(found.items())

    def _ages(self, now: float) -> list[tuple[tuple[str, ...], Value]]:
        found: dict[str, float] = {}
        for place, queue in enumerate(self._state.totals):
            name = queue if place < MOST_QUEUES else OTHER
            oldest = self._state.ready.oldest(queue)
            age = max(0.0, now - max(oldest.enqueued_at, oldest.due)) if oldest else 0.0
            found[name] = max(found.get(name, 0.0), age)
        return [((name,), age) for name, age in found.items()]


_PRESENT = (*(state for state in JobState if not state.final), JobState.FAILED)


def _quantiles(of: Quantiles) -> Iterable[tuple[str, float]]:
    return zip(_SHOWN, (of.p50, of.p95, of.p99), strict=True) if of.count else ()


def _counter(
    name: str, text: str, labels: tuple[str, ...], values: list[tuple[tuple[str, ...], Value]]
) -> Family:
    samples = [Sample(own, value) for own, value in values]
    return Family(f"taskqueue_{name}_total", "counter", text, labels, samples)


def _gauge(
    name: str, text: str, labels: tuple[str, ...], values: list[tuple[tuple[str, ...], Value]]
) -> Family:
    return Family(
        f"taskqueue_{name}", "gauge", text, labels, [Sample(own, value) for own, value in values]
    )


def _histogram(name: str, text: str, all_of_them: dict[Series, Buckets]) -> Family:
    samples = [Sample(one, 0.0, buckets.histogram()) for one, buckets in all_of_them.items()]
    return Family(f"taskqueue_{name}", "histogram", text, ("queue", "type"), samples)
