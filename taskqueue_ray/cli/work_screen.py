"""What `taskqueue work` shows: a live table in a terminal, a line now and then elsewhere."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from taskqueue_ray.cli.render import console, say, table
from taskqueue_ray.sdk.records import QueueRecord, WorkerRecord

WINDOW = 5.0
"""Seconds over which rates are taken."""

LINE_EVERY = 5.0
"""Seconds between two lines where nobody looks at a terminal."""

_COLUMNS = ("queue", "pending", "scheduled", "processing", "completed", "failed", "per_second")


@dataclass(frozen=True, slots=True)
class Look:
    """The queue at one moment (monotonic seconds)."""

    at: float
    queues: list[QueueRecord]
    workers: list[WorkerRecord]


class Screen(Protocol):
    """Where the progress goes."""

    def show(self, look: Look) -> None:
        """How it stands."""

    def note(self, text: str) -> None:
        """Something happened."""

    def trouble(self, text: str) -> None:
        """Something is wrong, until the next `show`."""

    def summary(self) -> None:
        """What was done since the start."""


class Progress:
    """Counts since `before`, and rates over the last seconds."""

    def __init__(self, before: list[QueueRecord]) -> None:
        self._first = {one.queue: one for one in before}
        self._recent: deque[tuple[float, dict[str, int]]] = deque()
        self._last: list[QueueRecord] = []

    def take(self, look: Look) -> None:
        """One more look."""
        self._last = look.queues
        self._recent.append((look.at, {one.queue: _ended(one) for one in look.queues}))
        while self._recent[0][0] < look.at - WINDOW:
            self._recent.popleft()

    def since_start(self, state: str) -> int:
        """How many more jobs are in this state than at the start."""
        before = self._first
        return sum(
            max(
                0,
                getattr(one, state)
                - (getattr(before[one.queue], state) if one.queue in before else 0),
            )
            for one in self._last
        )

    def rate(self, queue: str) -> float:
        """Jobs of the queue that end per second now."""
        (began, old), (now, new) = self._recent[0], self._recent[-1]
        if now <= began:
            return 0.0
        return max(0.0, (new.get(queue, 0) - old.get(queue, 0)) / (now - began))

    def rows(self) -> list[dict[str, Any]]:
        """A row for each queue."""
        return [
            {
                "queue": one.queue,
                "pending": one.pending,
                "scheduled": one.scheduled + one.blocked,
                "processing": one.processing,
                "completed": one.completed,
                "failed": one.failed,
                "per_second": f"{self.rate(one.queue):,.0f}",
            }
            for one in self._last
        ]

    def sentence(self) -> str:
        """All queues in one line."""
        waiting = sum(one.waiting for one in self._last)
        running = sum(one.processing for one in self._last)
        rate = sum(self.rate(one.queue) for one in self._last)
        return (
            f"completed {self.since_start('completed'):,} ({rate:,.0f}/s), "
            f"failed {self.since_start('failed'):,}, processing {running:,}, waiting {waiting:,}"
        )

    def ending(self) -> str:
        """What was done."""
        failed = self.since_start("failed")
        hint = "; see `taskqueue jobs list --state failed`" if failed else ""
        return f"done: {self.since_start('completed'):,} completed, {failed:,} failed{hint}"


class Lines:
    """For files, pipes and service managers."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._at = 0.0
        self._told = ""

    def show(self, look: Look) -> None:
        """A line each few seconds, when something has changed."""
        self._progress.take(look)
        sentence = self._progress.sentence()
        if look.at - self._at >= LINE_EVERY and sentence != self._told:
            self._at, self._told = look.at, sentence
            say(f"{time.strftime('%H:%M:%S')} {sentence}")

    def note(self, text: str) -> None:
        """A line at once."""
        say(f"{time.strftime('%H:%M:%S')} {text}")

    trouble = note

    def summary(self) -> None:
        """The last line."""
        say(self._progress.ending())


class Table:
    """For terminals. What jobs print scrolls by above it."""

    def __init__(self, live: Live, title: str, progress: Progress) -> None:
        self._live = live
        self._title = title
        self._note = "Ctrl-C drains"
        self._progress = progress

    def show(self, look: Look) -> None:
        """Draw it anew."""
        self._progress.take(look)
        busy = sum(len(one.running) for one in look.workers)
        self._draw(f"{self._title}: {len(look.workers)} up, {busy} jobs run now")

    def note(self, text: str) -> None:
        """Say it below the table."""
        self._note = text
        self._draw(self._title)

    def trouble(self, text: str) -> None:
        """Say it in place of the note, as long as it lasts."""
        self._draw(self._title, text)

    def summary(self) -> None:
        """Leave the table and the sum on the terminal."""
        self._note = self._progress.ending()
        self._draw(self._title)

    def _draw(self, head: str, trouble: str = "") -> None:
        rows = self._progress.rows()
        body = table(rows, _COLUMNS, right=_COLUMNS[1:]) if rows else Text("no jobs yet", "dim")
        foot = Text(trouble, "yellow") if trouble else Text(self._note, "dim")
        self._live.update(Group(Text(head, "bold"), body, foot), refresh=True)


@contextmanager
def open_screen(title: str, before: list[QueueRecord]) -> Iterator[Screen]:
    """The screen that fits where the output goes."""
    terminal = console()
    if not terminal.is_terminal:
        yield Lines(Progress(before))
        return
    with Live(console=terminal, auto_refresh=False) as live:
        yield Table(live, title, Progress(before))


def _ended(one: QueueRecord) -> int:
    return one.completed + one.failed + one.cancelled + one.expired
