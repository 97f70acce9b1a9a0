"""The thread that owns the journal: fsync never blocks the loop."""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from taskqueue_ray.core.errors import CommitUnknown, StorageFull, TaskQueueError
from taskqueue_ray.engine.commits import Committed
from taskqueue_ray.storage.journal import Journal
from taskqueue_ray.storage.recovery import SealedSegment

Result = Committed | TaskQueueError
_Task = tuple[bytes, bool, Callable[[Result], None]]


class JournalWriter:
    """Commits payloads on a thread of its own and reports back through `call_soon`.

    `call_soon(callback, argument)` must run the callback on the engine's thread
    (`loop.call_soon_threadsafe` does).
    """

    def __init__(
        self, journal: Journal, call_soon: Callable[[Callable[[Result], None], Result], object]
    ) -> None:
        self._journal = journal
        self._call_soon = call_soon
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, payload: bytes, seal: bool, done: Callable[[Result], None]) -> None:
        """Begin a commit; see `commits.Writer`."""
        self._tasks.put((payload, seal, done))

    def close(self) -> None:
        """End the thread after what was submitted, and close the journal."""
        self._tasks.put(None)
        self._thread.join()
        self._journal.close()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            payload, seal, done = task
            self._call_soon(done, commit(self._journal, payload, seal))


def commit(journal: Journal, payload: bytes, seal: bool) -> Result:
    """One commit, its fate as a value."""
    try:
        journal.commit(payload)
    except TaskQueueError as error:
        return error
    except Exception as error:  # what is not foreseen is a commit of unknown fate
        return CommitUnknown(f"{type(error).__name__}: {error}")
    sealed: SealedSegment | None = None
    if seal or journal.over_limit:
        try:
            sealed = journal.seal(os.urandom(8))
        except StorageFull:
            pass  # the present segment goes on; there will be another mark
        except TaskQueueError as error:
            return error
    if journal.low_space:
        _reclaim(journal)
    return Committed(sealed if seal else None, journal.low_space)


def _reclaim(journal: Journal) -> None:
    try:
        journal.reclaim()
    except OSError:
        return  # space is still low; the next commit tries again
