"""Counting by the jobs' own doing: each executor adds up in a file of its own, in shared memory."""

import mmap
import os
from pathlib import Path
from struct import Struct

VARIABLE = "TASKQUEUE_BENCH_EFFECTS"
"""Names the folder of the counters; executors inherit it."""

_NUMBER = Struct("<Q")


class Effects:
    """What one executor has done. Made anew in each process: a fork must not share one."""

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        self._count = 0
        with (folder / str(self.pid)).open("w+b") as file:
            file.truncate(_NUMBER.size)
            self._map = mmap.mmap(file.fileno(), _NUMBER.size)

    def add(self, count: int) -> None:
        """So many more jobs have run here."""
        self._count += count
        _NUMBER.pack_into(self._map, 0, self._count)


_mine: Effects | None = None


def note(count: int = 1) -> None:
    """Count the job that runs now, or as many as do."""
    global _mine
    if _mine is None or _mine.pid != os.getpid():
        _mine = Effects(Path(os.environ[VARIABLE]))
    _mine.add(count)


def total(folder: Path) -> int:
    """How many jobs have run, by all executors."""
    return sum(_NUMBER.unpack(path.read_bytes())[0] for path in folder.iterdir())
