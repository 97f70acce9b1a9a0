"""How `taskqueue top` looks: as much as fits into a terminal of any size."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from taskqueue_ray.cli.render import ago, clean, duration, size
from taskqueue_ray.sdk.performance import FailureRecord, Performance, PerformanceRecord
from taskqueue_ray.sdk.records import QueueRecord, WorkerRecord

WIDE = 110
"""Columns from which tables have all they know."""

LEAST = 12
"""Columns of the terminal that a name has at least."""

_WORDS = frozenset(("state", "queue", "host", "job"))
BARS = "▁▂▃▄▅▆▇█"
Cell = str | Text


@dataclass(frozen=True, slots=True)
class Look:
    """The queue at one moment. `window` is in seconds, for rates and times."""

    at: float
    location: str
    window: float
    queues: list[QueueRecord]
    performance: Performance
    workers: list[WorkerRecord]
    trouble: str = ""


class Section(NamedTuple):
    """A table: its columns, the first of them left-aligned, and its rows, the foremost first."""

    columns: Sequence[str]
    rows: list[Sequence[Cell]]
    share: int
    """Its part of the height, where there is not enough."""
    left: frozenset[str] = frozenset()


def overview(look: Look, width: int, height: int) -> RenderableType:
    """Everything."""
    wide = width >= WIDE
    sections = [
        _queues(look, wide),
        _types(look.performance, wide),
        _workers(look.workers, wide),
        _failures(look.performance.failures, wide),
    ]
    head = [*_head(look, width), *_trouble(look)]
    return Group(*head, *_fitted(sections, width, height - len(head) - 1), _foot(look))


def counts_of(look: Look, queue: str | None, width: int, height: int) -> RenderableType:
    """The queues alone, or one of them, for `taskqueue stats --watch`."""
    chosen = [one for one in look.queues if queue in (None, one.queue)]
    section = _counts(chosen, look.performance, width >= WIDE)
    head = [*_head(look, width), *_trouble(look)]
    return Group(*head, *_fitted([section], width, height - len(head) - 1), _foot(look))


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, the highest at full height.

    >>> sparkline([0, 1, 4, 8])
    '▁▁▄█'
    """
    most = max(values, default=0.0)
    if not most:
        return BARS[0] * len(values)
    return "".join(BARS[max(0, int(value / most * len(BARS)) - 1)] for value in values)


# --- the lines above and below -------------------------------------------------------------------


def _head(look: Look, width: int) -> list[Text]:
    measured, total = look.performance, look.performance.total
    running = sum(len(one.running) for one in look.workers)
    executors = sum(one.concurrency for one in look.workers)
    clock = time.strftime("%H:%M:%S", time.localtime(look.at))
    first = Text(no_wrap=True, overflow="ellipsis")
    first.append("taskqueue ", "bold")
    first.append(clean(look.location))
    many = "" if len(look.workers) == 1 else "s"
    who = f"{len(look.workers)} worker{many}, {running} of {executors} executors busy  {clock}"
    first = _spread(first, Text(who, "dim"), width)
    second = Text(no_wrap=True, overflow="crop")
    second.append(f"{total.throughput:,.1f}/s done", "green")
    second.append(f"  {total.arrivals:,.1f}/s in", "yellow")
    second.append(f"  {total.error_rate:.1%} errors", "red" if total.error_rate else "dim")
    second.append(f"  {total.utilization:.0%} busy  ", "cyan")
    second.append(sparkline(measured.recent), "green")
    return [first, second]


def _spread(left: Text, right: Text, width: int) -> Text:
    room = width - right.cell_len - 2
    if room < 10:
        left.truncate(width, overflow="ellipsis")
        return left
    left.truncate(room, overflow="ellipsis")
    left.append(" " * (width - left.cell_len - right.cell_len))
    return left.append_text(right)


def _trouble(look: Look) -> list[Text]:
    text = clean(look.trouble)
    return [Text(text, "bold yellow", no_wrap=True, overflow="ellipsis")] if text else []


def _foot(look: Look) -> Text:
    over = duration(look.performance.seconds)
    return Text(f"q quit  w window ({over} shown)", "dim", no_wrap=True, overflow="crop")


# --- the tables ----------------------------------------------------------------------------------


def _queues(look: Look, wide: bool) -> Section:
    measured = {one.queue: one for one in look.performance.queues}
    columns = ["QUEUE", "pending", "running", "failed", "in/s", "out/s", "wait p95", "run p95"]
    if wide:
        columns += ["scheduled", "blocked", "retries", "oldest"]
    rows: list[Sequence[Cell]] = []
    for one in sorted(look.queues, key=lambda q: (-q.unfinished, q.queue)):
        fast = measured.get(one.queue)
        row: list[Cell] = [
            clean(one.queue), _count(one.pending, "yellow"), _count(one.processing, "cyan"),
            _count(one.failed, "red"), *_speed(fast),
        ]  # fmt: skip
        if wide:
            oldest = ago(one.oldest_waiting) if one.oldest_waiting else ""
            row += [_count(one.scheduled), _count(one.blocked), _count(one.retries), oldest]
        rows.append(row)
    return Section(columns, rows, 3)


def _counts(queues: list[QueueRecord], performance: Performance, wide: bool) -> Section:
    measured = {one.queue: one for one in performance.queues}
    columns = ["QUEUE", "pending", "scheduled", "running", "completed", "failed", "in/s", "out/s"]
    if wide:
        columns += ["wait p95", "run p95", "blocked", "cancelled", "expired", "oldest"]
    rows: list[Sequence[Cell]] = []
    for one in queues:
        rate_in, rate_out, wait, run = _speed(measured.get(one.queue))
        row: list[Cell] = [
            clean(one.queue), _count(one.pending, "yellow"), _count(one.scheduled),
            _count(one.processing, "cyan"), _count(one.completed, "green"),
            _count(one.failed, "red"), rate_in, rate_out,
        ]  # fmt: skip
        if wide:
            oldest = ago(one.oldest_waiting) if one.oldest_waiting else ""
            row += [wait, run, _count(one.blocked), _count(one.cancelled), _count(one.expired)]
            row.append(oldest)
        rows.append(row)
    return Section(columns, rows, 1)


def _types(performance: Performance, wide: bool) -> Section:
    columns = ["SLOWEST TYPES", "done", "errors", "run p50", "run p95"]
    columns += ["run p99", "most", "busy", "queue"] if wide else ["busy"]
    slowest = sorted(performance.types, key=lambda one: -one.running.p95)
    rows: list[Sequence[Cell]] = []
    for one in slowest:
        ran = one.running
        errors = Text(f"{one.error_rate:.1%}", "red") if one.error_rate else "-"
        row: list[Cell] = [
            clean(one.type),
            _count(one.completed),
            errors,
            duration(ran.p50),
            duration(ran.p95),
        ]
        row += [duration(ran.p99), duration(ran.most)] if wide else []
        row.append(f"{one.busy:.1f}")
        row += [clean(one.queue)] if wide else []
        rows.append(row)
    return Section(columns, rows, 2)


def _workers(workers: list[WorkerRecord], wide: bool) -> Section:
    columns = ["WORKER", "state", "busy", "memory", "cpu", "done", "restarts"]
    columns += ["renewed", "host", "pid", "job"] if wide else ["renewed"]
    rows: list[Sequence[Cell]] = []
    for one in sorted(workers, key=lambda w: (w.state == "working", w.id)):
        state = Text(one.state, "" if one.state == "working" else "yellow")
        row: list[Cell] = [
            clean(one.id), state, f"{len(one.running)}/{one.concurrency}", size(one.memory),
            f"{one.cpu:.0f}%", _count(one.jobs_done), _count(one.restarts),
            f"{one.seen_ago:.0f} s",
        ]  # fmt: skip
        row += [clean(one.host), str(one.pid), next(iter(one.running), "")] if wide else []
        rows.append(row)
    return Section(columns, rows, 2)


def _failures(failures: Iterable[FailureRecord], wide: bool) -> Section:
    columns = ["FAILED LATELY", "type", "error", "then"] + (["queue", "job"] if wide else [])
    rows: list[Sequence[Cell]] = []
    for one in failures:
        then = Text(one.follows, "red" if one.follows == "failed" else "")
        when = ago(one.at) if one.at else ""
        row: list[Cell] = [when, clean(one.type), clean(one.error_type), then]
        rows.append([*row, clean(one.queue), one.id] if wide else row)
    return Section(columns, rows, 2, frozenset(columns))


def _speed(one: PerformanceRecord | None) -> tuple[str, str, str, str]:
    if one is None:
        return ("-", "-", "-", "-")
    wait = duration(one.waiting.p95) if one.waiting.count else "-"
    run = duration(one.running.p95) if one.running.count else "-"
    return (f"{one.arrivals:,.1f}", f"{one.throughput:,.1f}", wait, run)


def _count(number: int, style: str = "") -> Text:
    return Text(f"{number:,}", style) if number else Text("-", "dim")


# --- fitting -------------------------------------------------------------------------------------


def _fitted(sections: list[Section], width: int, height: int) -> list[RenderableType]:
    """As many rows of each as there is room for, the foremost; what is left out is counted."""
    shown = [one for one in sections if one.rows]
    room = height - 2 * len(shown)  # an empty line and the names of the columns
    given = _shared(room, shown)
    lines: list[RenderableType] = []
    for section, rows in zip(shown, given, strict=True):
        if rows > 0:
            lines += ["", _table(section, rows, width)]
    return lines or ["", Text("no jobs yet", "dim")]


def _shared(room: int, sections: list[Section]) -> list[int]:
    """Rows for each section: by its share, and what one does not need goes to the others."""
    given = [0] * len(sections)
    while room > 0:
        wanting = [i for i, one in enumerate(sections) if given[i] < len(one.rows)]
        if not wanting:
            break
        # The one that has least, for its share, is next.
        least = min(wanting, key=lambda i: given[i] / sections[i].share)
        given[least] += 1
        room -= 1
    return given


def _table(section: Section, rows: int, width: int) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold reverse", expand=True)
    columns = section.columns[: _columns_within(section, rows, width)]
    for place, name in enumerate(columns):
        right = place > 0 and name not in section.left and name not in _WORDS
        made.add_column(
            name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis",
            ratio=1 if place == 0 and not section.left else None,
            min_width=None if place else LEAST,
        )  # fmt: skip
    for row in section.rows[:rows]:
        cells = row[: len(columns)]
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    return made


def _columns_within(section: Section, rows: int, width: int) -> int:
    """How many columns fit, beside a first one that is at least `LEAST` wide."""
    used = LEAST
    for place, name in enumerate(section.columns[1:], 1):
        cells = (row[place] for row in section.rows[:rows])
        used += 2 + max(len(name), *(len(cell) for cell in cells))
        if used > width:
            return max(place, 2)
    return len(section.columns)
