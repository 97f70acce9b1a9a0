"""Group commit: events that come while a commit is in flight form the next one.

Every answer waits here for the commit of the last event applied before it was decided, also a
refusal or a repeat, since it may rest on something that a crash would still undo.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from taskqueue_ray.core.errors import StorageFull, TaskQueueError
from taskqueue_ray.core.events import Event, Marked, encode
from taskqueue_ray.storage.recovery import SealedSegment

Done = Callable[[TaskQueueError | None], None]


class Committed(NamedTuple):
    """A commit is durable. `sealed` is the segment that ended with it, when that was asked for."""

    sealed: SealedSegment | None = None
    low_space: bool = False


class Writer(Protocol):
    """Makes payloads durable, one at a time, in the order given."""

    def submit(
        self, payload: bytes, seal: bool, done: Callable[[Committed | TaskQueueError], None]
    ) -> None:
        """Begin a commit and call `done`, on the engine's thread, when its fate is known.

        `StorageFull` means that nothing was written and the same payload may come again; any
        other error is the end.
        """


class Commits:
    """What has been applied and is not durable yet, and who waits for it."""

    def __init__(
        self,
        writer: Writer,
        next_commit: int,
        apply: Callable[[Event], None],
        on_sealed: Callable[[SealedSegment | None], None],
        on_broken: Callable[[TaskQueueError], None],
    ) -> None:
        self._writer = writer
        self._apply = apply
        self._on_sealed = on_sealed
        self._on_broken = on_broken
        self._gathered: list[Event] = []
        self._waiting: list[Done] = []
        self._flying: list[Done] = []
        self._in_flight = False
        self._urgent = False
        self._stalled: tuple[bytes, bool] | None = None
        self.next_commit = next_commit
        self.mark_wanted = False
        self.low_space = False
        self.broken: TaskQueueError | None = None

    @property
    def idle(self) -> bool:
        """Whether everything applied is durable."""
        return not self._in_flight and not self._gathered

    @property
    def stalled(self) -> bool:
        """Whether a commit waits for space on the disk."""
        return self._stalled is not None

    def append(self, events: list[Event], *, urgent: bool = True) -> None:
        """These events were applied; `flush` sends them off.

        Events that are not urgent wait for others, for someone who needs them durable, or for the
        next tick: alone they would only stand in the way of what somebody waits for.
        """
        self._gathered.extend(events)
        self._urgent = self._urgent or urgent

    def then(self, done: Done) -> None:
        """Call `done` once all that was applied so far is durable, or with the error."""
        if self.broken is not None:
            done(self.broken)
        elif self._gathered:
            self._waiting.append(done)
        elif self._in_flight:
            self._flying.append(done)
        else:
            done(None)

    def flush(self, *, all: bool = False) -> None:
        """Begin the next commit, unless one is in flight or nothing urgent is to be committed."""
        wanted = self._urgent or self._waiting or self.mark_wanted or (all and self._gathered)
        if self._in_flight or self.broken or not wanted:
            return
        seal, self.mark_wanted = self.mark_wanted, False
        if seal:
            mark = Marked(self.next_commit)
            self._apply(mark)
            self._gathered.append(mark)
        payload = encode(self._gathered)
        self._gathered, self._urgent = [], False
        self._flying, self._waiting = self._waiting, []
        self._in_flight = True
        self._send(payload, seal)

    def retry(self) -> None:
        """Send a commit again that found no space."""
        if self._stalled is not None:
            (payload, seal), self._stalled = self._stalled, None
            self._send(payload, seal)

    def close(self, error: TaskQueueError) -> None:
        """Answer all who wait with `error`, and all who come later."""
        self.broken = error
        waiting = self._flying + self._waiting
        self._flying, self._waiting = [], []
        for done in waiting:
            done(error)

    def _send(self, payload: bytes, seal: bool) -> None:
        def done(result: Committed | TaskQueueError) -> None:
            if self.broken is not None:
                return
            if isinstance(result, StorageFull):
                self.low_space = True
                self._stalled = (payload, seal)
            elif isinstance(result, TaskQueueError):
                self.close(result)
                self._on_broken(result)
            else:
                self._committed(result, seal)

        self._writer.submit(payload, seal, done)

    def _committed(self, result: Committed, seal: bool) -> None:
        self._in_flight = False
        self.next_commit += 1
        self.low_space = result.low_space
        answered, self._flying = self._flying, []
        # The next commit starts before the answers are written: the disk should not wait for us.
        self.flush()
        if seal:
            self._on_sealed(result.sealed)
        for done in answered:
            done(None)
