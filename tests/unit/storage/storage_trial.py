"""What the storage tests share: opening as the product does, and a scenario that keeps count."""

from dataclasses import dataclass, field
from itertools import count

from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.storage.filesystem import FileSystem
from taskqueue_ray.storage.journal import Journal, JournalSettings
from taskqueue_ray.storage.manifest import Fence, take_over
from taskqueue_ray.storage.recovery import Replay

SMALL = JournalSettings(segment_limit=2048, ballast=4096)

_unique = count(1)


def salt() -> bytes:
    return next(_unique).to_bytes(8, "little")


@dataclass
class Opened:
    """A storage as its owner has it open."""

    fence: Fence
    replay: Replay
    payloads: list[bytes]
    journal: Journal


def open_storage(fs: FileSystem, settings: JournalSettings = SMALL) -> Opened:
    fence = take_over(fs, f"owner-{next(_unique)}")
    replay = Replay(fs, fence.manifest)
    payloads = [frame.payload for frame in replay.frames()]
    return Opened(fence, replay, payloads, Journal.open(fs, fence, replay.end, salt(), settings))


@dataclass
class Trial:
    """Commits that are told apart, and which of them were acknowledged."""

    attempted: list[bytes] = field(default_factory=list)
    acknowledged: int = 0

    def commit(self, journal: Journal, size: int = 100) -> None:
        payload = f"commit {len(self.attempted)} ".encode().ljust(size, b".")
        self.attempted.append(payload)
        journal.commit(payload)
        self.acknowledged = len(self.attempted)

    def run(self, fs: FileSystem) -> Exception | None:
        """A life: open, commit, roll, commit, close, open again, commit. Ends at any error."""
        try:
            first = open_storage(fs).journal
            for _ in range(3):
                self.commit(first)
            first.seal(salt())
            self.commit(first)
            first.close()
            second = open_storage(fs).journal
            for _ in range(2):
                self.commit(second, size=900)
        except (TaskQueueError, OSError) as error:
            return error
        return None

    def check(self, recovered: list[bytes]) -> None:
        """All that was acknowledged, and beyond it at most what was asked for, in order."""
        assert recovered == self.attempted[: len(recovered)]
        assert len(recovered) >= self.acknowledged
