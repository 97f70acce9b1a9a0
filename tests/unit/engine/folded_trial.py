"""A trial on a disk: commits go to a journal, folds to snapshots and history."""

from collections.abc import Callable
from itertools import count

from taskqueue_ray.engine.commits import Committed
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.opening import Identity, Opened, World, open_storage
from taskqueue_ray.engine.writer import commit
from taskqueue_ray.storage.compaction import fold
from taskqueue_ray.storage.journal import JournalSettings
from taskqueue_ray.storage.publication import FoldRequest, publish
from tests.faultfs import FaultFileSystem
from tests.ledger import facts
from tests.records import START, outcome, spec
from tests.unit.engine.engine_trial import Hand, Trial

_salts = count(1)
IDENTITY = Identity("cluster", "address", "host")
KEYRING = Keyring([Key(bytes(32))])
SETTINGS = JournalSettings(segment_limit=1 << 16, ballast=0)


def _entropy(size: int) -> bytes:
    return next(_salts).to_bytes(size, "big")


def reopen(fs: FaultFileSystem, *, known: bool = False) -> Opened:
    """Open as the product does, at a standing clock."""
    world = World(lambda: START, lambda: START, _entropy)
    return open_storage(fs, "here", IDENTITY, KEYRING, settings=SETTINGS, known=known, world=world)


class Stored(Trial):
    """Opening one on a disk that another one has is a restart: the first is gone."""

    def __init__(self, fs: FaultFileSystem) -> None:
        fs.crash_process()
        self.fs = fs
        self.opened = reopen(fs)
        self.fence = self.opened.fence
        super().__init__(self.opened.state)
        self.engine.commits.next_commit = self.opened.journal.next_commit
        self._to_disk()

    def run_jobs(self, first: int, end: int) -> None:
        """These jobs come and complete."""
        self.enqueued(*[spec(n) for n in range(first, end)])
        hand = Hand(self, f"hand{first}")
        hand.exchange(*[outcome(grant) for grant in hand.exchange(want=end - first).grants])

    def fold(self) -> None:
        """Mark, seal, fold, publish, let go."""
        request = self.sealed_request()
        done = self.folds.pop()[1]
        result = fold(self.fs, request)
        publish(self.fs, self.fence, result)
        done(result)
        self.writer.settle()

    def sealed_request(self) -> FoldRequest:
        """Mark and seal; the fold that this asks for."""
        self.engine.folding.request()
        self.writer.settle()
        return self.folds[-1][0]

    def differs_from(self, other: Trial) -> list[str]:
        """The facts in which two states differ, but for those of their own openings."""
        mine, theirs = facts(self.state), facts(other.state)
        return [name for name in mine if name != "epoch" and mine[name] != theirs[name]]

    def _to_disk(self) -> None:
        """From now on a commit of the held writer is one of the journal."""

        def submit(payload: bytes, seal: bool, done: Callable[..., None]) -> None:
            def write() -> None:
                result = commit(self.opened.journal, payload, seal)
                if isinstance(result, Committed):
                    self.writer.durable.append(payload)
                done(result)

            self._writes.append(write)

        def settle() -> None:
            while self._writes:
                self._writes.pop(0)()

        self._writes: list[Callable[[], None]] = []
        self.writer.submit = submit  # type: ignore[method-assign]  # the same seam, on a disk
        self.writer.settle = settle  # type: ignore[method-assign]
