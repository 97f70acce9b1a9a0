"""The seam between the SDK and wherever the queue is."""

from concurrent.futures import Future
from typing import Any, Protocol


class Answer(Protocol):
    """An answer that is on its way."""

    def result(self, timeout: float | None = None) -> bytes:
        """Wait for it. Raises what `Transport.call` raises, or `TimeoutError`."""
        ...


class Transport(Protocol):
    """Carries requests to the queue, and its answers back.

    Requests and answers are MessagePack of the records in `core.exchange`:

    ============  ==========================================  =================================
    method        request                                     answer
    ============  ==========================================  =================================
    enqueue       BatchRecord                                 EnqueueReply: all of it is durable
    enqueue_watched  [client, BatchRecord as bytes]           EnqueueReply; its watch tells the ends
    watch         WatchRequest                                WatchReply
    job           JobId                                       JobView, or nil
    jobs          [JobFilter, Cursor or nil, limit]           JobPage
    past          [JobId]                                     [JobView], from the history
    stats         queue or nil                                [QueueStats]
    workers       nil                                         [WorkerView]
    ended         [since, Cursor or nil, limit]               JobPage of what is not in the history
    search        [JobFilter, limit]                          [JobView], from the history
    prune         [JobFilter, before, [JobId]]                rows of the history that are gone
    history       [since, columns or nil]                     bytes: a stream of Arrow
    cancel        [command id, [JobId], reason]               [JobId] that moved
    redrive       [command id, [JobId], Changes]              the same
    purge         [command id, [JobId]]                       the same
    put_blob      BlobPart of core.blobs                      the offset that is wanted next
    get_blob      BlobWanted                                  bytes; none at the end
    store_code    [hash, StoredCode]                          nil
    code          hash                                        StoredCode, or nil
    results       [JobId]                                     [Ended]; live ones have their state
    workflow      workflow                                    counts by state
    put_schedule  PutSchedule of core.commands                ScheduleView of core.schedule
    revise_schedule  ReviseSchedule                           the same
    drop_schedule  DropSchedule                               whether there was one
    run_schedule  RunSchedule                                 JobId
    backfill      Backfill                                    [JobId]
    schedule      id                                          ScheduleView, with its payload
    schedules     [id that they come after, limit]            SchedulePage
    workflows     limit                                       [WorkflowView], the latest first
    failures      queue or nil                                FailureSummary
    tally         [since, span]                               [[start, state, count]], not folded
    ============  ==========================================  =================================

    Every method may be called from any thread. While the queue restarts or recovers, a call waits
    and repeats itself with the same bytes: all requests are made so that a repeat is safe. It
    raises the queue's typed errors; `Unavailable` only when `timeout` seconds were not enough,
    and `QueueClosed` when the queue has gone for good.

    A `watch` is held by the queue for the seconds that it asks for, and belongs to a session that
    the queue forgets when it restarts. A transport may raise `Unavailable` for it at once; the
    watcher then begins a new session. It also begins one by itself after a silence.
    """

    def call(self, method: str, request: bytes, timeout: float | None = None) -> bytes:
        """Ask and wait."""
        ...

    async def acall(
        self,
        method: str,
        request: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # of the repeats inside
    ) -> bytes:
        """Ask and await. Works in any event loop."""
        ...

    def submit(self, method: str, request: bytes) -> Answer:
        """Ask without waiting; requests that are submitted may overtake each other."""
        ...

    def close(self) -> None:
        """Let go of the connection; calls that wait raise `QueueClosed`. May be repeated."""
        ...


def done(value: bytes | BaseException) -> "Future[bytes]":
    """An answer that is there already."""
    future: Future[Any] = Future()
    if isinstance(value, BaseException):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future
