"""Purges dead letters whose term is over: the engine's part of keeping jobs no longer than asked.

What ended otherwise is in the history by then, and is dropped from there after a fold.
"""

from dataclasses import dataclass

from taskqueue_ray.core import commands
from taskqueue_ray.core.upkeep import PORTION
from taskqueue_ray.engine.writepath import WritePath

PAUSE = 10.0
"""Seconds between two looks: terms are hours and days."""


@dataclass(slots=True)
class Retiring:
    """A portion at each tick, as long as there are whole ones."""

    path: WritePath
    next_at: float = 0.0

    def tick(self, now: float) -> None:
        """Drop what is due, unless the disk has no room for saying so."""
        commits = self.path.commits
        if now < self.next_at or commits.broken or commits.stalled:
            return
        purged: int = self.path.execute(commands.Retire())
        self.next_at = now if purged >= PORTION else now + PAUSE
