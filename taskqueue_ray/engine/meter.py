"""How fast the queue is: counts and times of the last hour, by queue and job type.

Nothing here is a fact: it begins anew with each start of the queue. What has to outlive that is in
`State.totals`.

It is fed once per event, not per job. Counts and busy seconds are exact. Of the times of an event
that is about more than `SAMPLE` jobs, so many are taken, evenly, and count for their neighbours.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from msgspec.structs import replace

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.events import Event, Leased, Lost, Settled
from taskqueue_ray.core.exchange import Outcome
from taskqueue_ray.core.metering import FailureView, PerformanceReport, PerformanceView
from taskqueue_ray.core.model import Job, Options
from taskqueue_ray.core.model import Leased as LeasedPhase
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.series import MOST_QUEUES, Names, Series
from taskqueue_ray.engine.sketches import TINY, Buckets, quantiles
from taskqueue_ray.engine.slots import COARSE, COUNTED, FINE, KEPT, Slot, Tick, Window

SAMPLE = 16
"""Times of one event that are looked at, at most."""

BRISK = 5.0
"""Seconds of work in one event below which they count for now, whenever they were."""

RECENT = 30
"""Fine slots that a sparkline shows."""

COSTLY = 500
"""Series times slots above which an answer is given again for a hundredth of its window."""

KEPT_REPORTS = 8
LATEST_FAILURES = 20
"""Failed attempts that are remembered."""

MOST = COARSE * KEPT
"""The longest window, in seconds."""

T = TypeVar("T")
_seconds = attrgetter("seconds")


class Meter:
    """Measures what passes by; `take` is called after each event was applied."""

    def __init__(self, state: State, now: float) -> None:
        self._state = state
        self._window = Window(now, self._enqueued())
        self._names = Names()
        self._ticked = now
        self._kept: dict[float, tuple[float, PerformanceReport]] = {}
        self._failures: deque[FailureView] = deque(maxlen=LATEST_FAILURES)
        self.on_failed: Callable[[Options, Outcome, str], None] | None = None
        """Told of each attempt that failed, and what follows: `retried` or `failed`."""
        self.waited: dict[Series, Buckets] = {}
        self.ran: dict[Series, Buckets] = {}

    # --- feeding --------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Count what an event says."""
        kind = type(event)
        if kind is Settled:
            self._settled(event)  # type: ignore[arg-type]  # `is` is cheaper than isinstance
        elif kind is Leased:
            self._leased(event)  # type: ignore[arg-type]
        elif kind is Lost:
            self._lost(event)  # type: ignore[arg-type]

    def tick(self, now: float, executors: int) -> None:
        """Time goes on, with so many executors at hand."""
        slot = self._slot(now)
        slot.capacity += executors * max(0.0, now - self._ticked)
        self._ticked = now

    def _slot(self, now: float) -> Slot:
        newest = self._window.newest
        if now < newest.start + FINE:
            return newest
        return self._window.roll(now, self._enqueued())

    def _enqueued(self) -> dict[str, int]:
        """How many jobs the first queues ever got, and under no name all of them together."""
        totals = self._state.totals
        found = {q: totals[q].ever_enqueued() for q in islice(totals, MOST_QUEUES)}
        found[""] = sum(one.ever_enqueued() for one in totals.values())
        return found

    def _leased(self, event: Leased) -> None:
        jobs, at = self._state.jobs, event.at
        slot = self._slot(at)
        for options, ids in _alike([jobs[one].options for one in event.ids], event.ids):
            series = self._names.of(options)
            sketch, buckets = slot.tick(series).waited, self._buckets(self.waited, series)
            chosen, weight = _sample(ids)
            for job_id in chosen:
                job = jobs[job_id]
                if job.delivery == 1 and not job.generation and not job.parents:
                    # Of another delivery, or of one that waited for others, nobody knows how long.
                    waited = _time(at - max(job.enqueued_at, job.due))
                    sketch.add(waited, weight)
                    buckets.add(waited, weight)

    def _settled(self, event: Settled) -> None:
        at = event.at
        if event.completed:
            self._completed(event.completed, at)
        for kind, outcomes in (
            ("retried", [one.outcome for one in event.retried]),
            ("failed", [one.outcome for one in event.failed]),
            ("cancelled", event.cancelled),
            ("put_off", event.snoozed + event.waiting),
        ):
            for outcome in outcomes:
                if (options := self._options(outcome)) is not None:
                    tick = self._ended(options, [outcome], at)
                    setattr(tick, kind, getattr(tick, kind) + 1)
                    if kind in ("retried", "failed"):
                        self._failed(options, outcome, kind, at)

    def _completed(self, outcomes: list[Outcome], at: float) -> None:
        settled: dict[Any, Any] = self._state.settled
        for options, part in _alike([settled[one.id].options for one in outcomes], outcomes):
            self._ended(options, part, at).completed += len(part)

    def _ended(self, options: Options, outcomes: Sequence[Outcome], at: float) -> Tick:
        """Runs of one type have ended: their times. Returns where they are to be counted."""
        series = self._names.of(options)
        tick = self._slot(at).tick(series)
        self._work(series, tick, outcomes, at)
        chosen, weight = _sample(outcomes)
        buckets = self._buckets(self.ran, series)
        for outcome in chosen:
            seconds = _time(outcome.seconds)
            tick.ran.add(seconds, weight)
            buckets.add(seconds, weight)
        return tick

    def _work(self, series: Series, tick: Tick, outcomes: Sequence[Outcome], at: float) -> None:
        total = sum(map(_seconds, outcomes))
        if total < BRISK:
            tick.busy += max(0.0, total)
            return
        for outcome in outcomes:
            self._window.spread(series, at - outcome.seconds, at)

    def _lost(self, event: Lost) -> None:
        for job_id in (*event.running, *event.poisoned):
            job = self._state.jobs[job_id]
            self._slot(event.at).tick(self._names.of(job.options)).lost += 1

    def _failed(self, options: Options, outcome: Outcome, follows: str, at: float) -> None:
        failure = outcome.failure
        cause, error = (failure.cause, failure.error_type) if failure else ("error", "Unknown")
        self._failures.appendleft(
            FailureView(at, outcome.id, options.queue, options.type, cause, error, follows)
        )
        if self.on_failed is not None:
            self.on_failed(options, outcome, follows)

    def _options(self, outcome: Outcome) -> Options | None:
        job = self._state.jobs.get(outcome.id) or self._state.settled.get(outcome.id)
        return job.options if isinstance(job, Job) else None

    def _buckets(self, all_of_them: dict[Series, Buckets], series: Series) -> Buckets:
        found = all_of_them.get(series)
        if found is None:
            found = all_of_them[series] = Buckets()
        return found

    # --- asking ---------------------------------------------------------------------------

    def report(self, window: float, now: float) -> PerformanceReport:
        """The last `window` seconds, to the next slot. Raises `InvalidOption`."""
        if not FINE <= window <= MOST:
            raise InvalidOption("window", f"{window:g} s", f"a time from {FINE:g} s to 1 h")
        at, kept = self._kept.get(window, (0.0, None))
        if kept is not None and 0 <= now - at < window / 100:
            return kept
        self._slot(now)
        slots = self._window.since(now - window)
        report = self._measured(slots, now)
        if sum(len(slot.ticks) for slot in slots) > COSTLY:
            if len(self._kept) >= KEPT_REPORTS:
                self._kept.clear()
            self._kept[window] = (now, report)
        return report

    def _measured(self, slots: list[Slot], now: float) -> PerformanceReport:
        seconds = max(now - slots[0].start, 1e-3)
        ticks: dict[Series, Tick] = {}
        for slot in slots:
            for series, tick in slot.ticks.items():
                ticks.setdefault(series, Tick()).merge(tick)
        for series, busy in self._working(slots[0].start, now).items():
            ticks.setdefault(series, Tick()).busy += busy
        rows = [_row(name, tick, seconds) for name, tick in _summed_up(ticks)]
        before, counts = slots[0].enqueued, self._enqueued()
        came = {name: n - before.get(name, 0) for name, n in counts.items()}
        rows = _with_arrivals(rows, {name: n for name, n in came.items() if n})
        capacity = sum(slot.capacity for slot in slots) / seconds
        return PerformanceReport(seconds, capacity, rows, self._recent(now), list(self._failures))

    def _working(self, since: float, now: float) -> dict[Series, float]:
        """Seconds, within the window, of runs that have not ended."""
        found: dict[Series, float] = {}
        for held in self._state.held.values():
            for job in held.values():
                if job.running and isinstance(phase := job.phase, LeasedPhase):
                    series = self._names.of(job.options)
                    ran = max(0.0, now - max(since, phase.at))
                    found[series] = found.get(series, 0.0) + ran
        return found

    def _recent(self, now: float) -> list[float]:
        slots = self._window.since(now - RECENT * FINE)
        found = [0.0] * RECENT
        for slot in slots:
            place = RECENT - 1 - int((self._window.newest.start - slot.start) / FINE + 0.5)
            if 0 <= place < RECENT:
                found[place] += sum(tick.completed for tick in slot.ticks.values())
        return found


def _time(seconds: float) -> float:
    """A length of time; clocks of others may make it less than none."""
    return seconds if seconds > TINY else 0.0


def _alike(options: list[Options], of: Sequence[T]) -> Iterable[tuple[Options, Sequence[T]]]:
    """These things by the options of their jobs; mostly all have the same."""
    first = options[0]
    if options.count(first) == len(options):
        return ((first, of),)
    groups: dict[int, tuple[Options, list[T]]] = {}
    for its, one in zip(options, of, strict=True):
        groups.setdefault(id(its), (its, []))[1].append(one)
    return groups.values()


def _sample(of: Sequence[T]) -> tuple[Sequence[T], float]:
    """Some of them, evenly, and how many each stands for."""
    if len(of) <= SAMPLE:
        return of, 1.0
    step = -(-len(of) // SAMPLE)
    chosen = of[step // 2 :: step]
    return chosen, len(of) / len(chosen)


def _summed_up(types: dict[Series, Tick]) -> Iterator[tuple[Series, Tick]]:
    """All of them together, then each queue, then each type of a queue."""
    queues: dict[str, Tick] = {}
    for (queue, _), tick in sorted(types.items()):
        queues.setdefault(queue, Tick()).merge(tick)
    everything = Tick()
    for tick in queues.values():
        everything.merge(tick)
    yield ("", ""), everything
    yield from (((queue, ""), tick) for queue, tick in queues.items())
    yield from sorted(types.items(), key=itemgetter(0))


def _row(name: Series, tick: Tick, seconds: float) -> PerformanceView:
    counts = {one: getattr(tick, one) for one in COUNTED}
    return PerformanceView(
        *name,
        **counts,
        busy=tick.busy / seconds,
        waiting=quantiles(tick.waited),
        running=quantiles(tick.ran),
    )


def _with_arrivals(rows: list[PerformanceView], came: dict[str, int]) -> list[PerformanceView]:
    """Enqueued jobs beside the queues, and rows for queues in which nothing else happened."""
    named = {row.queue for row in rows}
    counted = [row if row.type else replace(row, enqueued=came.get(row.queue, 0)) for row in rows]
    return counted + [PerformanceView(q, "", enqueued=n) for q, n in came.items() if q not in named]
