"""When to mark, fold and forget: the engine's side of the compaction.

The engine marks a commit and seals the segment that ends with it; someone else folds what is
sealed into the next snapshot and into history and publishes that; then the engine lets go.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.commits import Commits
from taskqueue_ray.storage.publication import FoldRequest, FoldResult
from taskqueue_ray.storage.recovery import SealedSegment

Fold = Callable[[FoldRequest, Callable[[FoldResult | TaskQueueError], None]], None]
"""Folds and publishes elsewhere and reports back on the engine's thread."""


class FoldPolicy(msgspec.Struct, frozen=True):
    """When a fold is due. `rows` are finished jobs in memory, times are in seconds."""

    rows: int = 100_000
    commits: int = 20_000
    age: float = 300.0
    retry: float = 10.0


@dataclass(slots=True)
class Folding:
    """One fold at a time, from the mark to the publication."""

    state: State
    commits: Commits
    fold: Fold
    on_folded: Callable[[int], None]
    policy: FoldPolicy
    busy: bool = False
    last_commit: int = 0
    last_at: float = 0.0
    failures: int = 0
    error: TaskQueueError | None = None
    sealed: SealedSegment | None = None

    def tick(self, now: float) -> None:
        """Ask for a mark when a fold is due; fold again what failed."""
        if self.busy or self.commits.broken or self.commits.stalled:
            return
        if self.last_at == 0.0:
            self.last_at = now
        if self._is_due(now):
            self.last_at = now
            self.request()

    def request(self) -> None:
        """Begin a fold now, unless one is on its way."""
        if self.busy:
            return
        self.busy = True
        if self.sealed is not None:
            self._start(self.sealed)
        else:
            self.commits.mark_wanted = True
            self.commits.flush()

    def begin(self, sealed: SealedSegment) -> None:
        """The mark is durable and its segment sealed: fold up to it."""
        self.busy = True
        self._start(sealed)

    def postpone(self, error: TaskQueueError) -> None:
        """The mark is durable and its segment could not be sealed: there will be another."""
        self.busy = False
        self.error = error
        self.failures += 1

    def _start(self, sealed: SealedSegment) -> None:
        self.sealed = sealed
        self.fold(FoldRequest(sealed.next_commit - 1, sealed.sequence), self._folded)

    def _folded(self, result: FoldResult | TaskQueueError) -> None:
        self.busy = False
        if self.commits.broken:
            return
        if isinstance(result, TaskQueueError):
            self.error = result
            self.failures += 1
            return
        self.error, self.failures, self.sealed = None, 0, None
        self.last_commit = result.through
        self.on_folded(result.through)

    def _is_due(self, now: float) -> bool:
        waited = now - self.last_at
        if self.error is not None:
            return waited >= self.policy.retry
        return (
            len(self.state.unfolded) >= self.policy.rows
            or self.commits.next_commit - self.last_commit > self.policy.commits
            or (waited >= self.policy.age and bool(self.state.unfolded))
        )
