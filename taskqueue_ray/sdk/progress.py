"""A bar of how many jobs have ended: in a terminal, in a notebook, or nowhere."""

import sys
from typing import Any, Protocol


class Bar(Protocol):
    """Shows progress. Used by one thread."""

    def advance(self) -> None:
        """One more has ended."""
        ...

    def close(self) -> None:
        """No more will."""
        ...


class NoBar:
    """Shows nothing: output that goes into a file, or a bar that was not wanted."""

    def advance(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class RichBar:
    """A bar by rich, which knows terminals and notebooks."""

    def __init__(self, total: int, label: str) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns: list[Any] = [
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(),
        ]  # fmt: skip
        self._progress = Progress(*columns, transient=False)
        self._task = self._progress.add_task(label, total=total)
        self._progress.start()

    def advance(self) -> None:
        """One more has ended."""
        self._progress.advance(self._task)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()


def bar(total: int, wanted: bool | None, label: str = "jobs") -> Bar:
    """The bar that fits here. `wanted` None: where somebody looks, and many are waited for."""
    if wanted is False or (wanted is None and (total < 2 or not _somebody_looks())):
        return NoBar()
    try:
        return RichBar(total, label)
    except ImportError:
        return NoBar()


def _somebody_looks() -> bool:
    return "ipykernel" in sys.modules or (sys.stderr.isatty() and sys.stdout.isatty())
