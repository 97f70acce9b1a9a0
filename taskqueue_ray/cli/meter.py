"""A bar in a terminal, and a line now and then elsewhere, for work of a known size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from taskqueue_ray.cli.render import console, say


class Meter(Protocol):
    """Shows how far something is. May be used by several threads."""

    def advance(self) -> None:
        """One more is done."""

    def note(self, text: str) -> None:
        """Something happened."""


class Silent:
    """For output that is for programs."""

    def advance(self) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class Lines:
    """A line at every tenth part."""

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = total
        self._done = 0

    def advance(self) -> None:
        """One more is done."""
        before, self._done = self._done * 10 // self._total, self._done + 1
        if self._done * 10 // self._total > before:
            say(f"{self._label} {self._done:,} of {self._total:,}")

    def note(self, text: str) -> None:
        """A line of its own."""
        say(text)


class Bar:
    """A bar that goes on while notes scroll by above it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, style="yellow")


@contextmanager
def open_meter(label: str, total: int, *, quiet: bool = False) -> Iterator[Meter]:
    """The meter that fits where the output goes."""
    terminal = console()
    if quiet:
        yield Silent()
    elif not terminal.is_terminal:
        yield Lines(label, total)
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=terminal) as progress:
            yield Bar(progress, progress.add_task(label, total=total))
