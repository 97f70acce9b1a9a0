"""What jobs did, written where no fault reaches it, and what must be true of it.

The names of the checks are those of the simulator's witness (tests/simulation/witness.py): I1
nothing lost, I2 nothing invented, I3 every completion has its run, I4 what completed never runs
again, I5 no more runs than leases, I6 one result, I10 bounds, I11 the counts add up, I12 recovery.
"""

import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import taskqueue_ray as tq
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.keyring import load_keyring
from taskqueue_ray.engine.opening import Identity, open_storage
from taskqueue_ray.storage.filesystem import LocalFileSystem
from tests.ledger import count_up, facts


class Line(NamedTuple):
    """A job began or ended a run."""

    job: str
    run: str
    what: str
    at: float


class Run:
    """One run of a job, for its code: its beginning is written at once, its end by `end`."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.name = secrets.token_hex(4)
        self._write("start")

    def end(self) -> str:
        """The effect of the run is whole; its name is for the job to return."""
        self._write("end")
        return self.name

    def _write(self, what: str) -> None:
        line = f"{tq.current().job.id} {self.name} {what} {time.time():.6f}\n"
        fd = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line.encode())  # one write, so lines of several processes do not mix
        finally:
            os.close(fd)


def read(file: Path) -> list[Line]:
    """All lines, in the order of their writing."""
    if not file.exists():
        return []
    fields = (line.split() for line in file.read_text().splitlines())
    return [Line(job, run, what, float(at)) for job, run, what, at in fields]


def starts(file: Path) -> Counter[str]:
    """How often each job began."""
    return Counter(line.job for line in read(file) if line.what == "start")


class Told:
    """What clients were told: ids that are durable, and results with the time of their arrival."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.results: dict[str, tuple[str, float]] = {}

    def durable(self, handles: Iterable[tq.JobHandle[Any]]) -> None:
        self.ids.update(handle.id for handle in handles)

    def result(self, handle: tq.JobHandle[str], timeout: float = 60.0) -> str:
        run = handle.result(timeout)
        self.results.setdefault(handle.id, (run, time.time()))
        return run


def check(q: tq.TaskQueue, file: Path, told: Told, *, max_losses: int = 5) -> None:
    """Every job was drained: what was told, what was done and what is kept must agree."""
    rows = {row["id"]: row for row in q.history().to_arrow().to_pylist()}
    assert len(rows) == len(q.history().to_arrow()), "I1: a job ended twice"
    assert told.ids <= rows.keys(), f"I1: {len(told.ids - rows.keys())} jobs were lost"
    lines = read(file)
    assert {line.job for line in lines} <= rows.keys(), "I2: a job ran that nobody enqueued"
    _check_runs(lines, rows, told)
    for row in rows.values():
        assert row["losses"] <= max_losses, f"I10: {row['losses']} losses of {row['id']}"
        assert row["attempts"] <= 3 or row["state"] == "failed", "I10"
    for queue in q.stats():
        assert sum(queue.counts.values()) == queue.total, "I11"
        assert not queue.unfinished, "I1: not all jobs have ended"


def _check_runs(lines: list[Line], rows: Mapping[str, Mapping[str, Any]], told: Told) -> None:
    ended = {(line.job, line.run) for line in lines if line.what == "end"}
    began = Counter(line.job for line in lines if line.what == "start")
    for job, (run, _) in told.results.items():
        assert (job, run) in ended, f"I3: {job} completed without the whole run {run}"
        assert rows[job]["state"] == "completed", f"I1: {job} was told as completed"
    for job, count in began.items():
        assert count <= rows[job]["deliveries"], f"I5: {job} began more often than it was leased"
    for line in lines:
        if line.what == "start" and line.job in told.results:
            assert line.at <= told.results[line.job][1], f"I4: {line.job} ran after its end"


def check_recovery(folder: Path, key_file: Path) -> State:
    """Open a copy of the storage twice (I12); returns the state that was found."""
    copy = folder.with_name(folder.name + "-copy")
    shutil.copytree(folder, copy)
    keyring = load_keyring({}, key_file)
    assert keyring is not None
    states = []
    for _ in range(2):
        opened = open_storage(
            LocalFileSystem(copy), str(copy), Identity("check", "nowhere"), keyring
        )
        states.append(opened.state)
        opened.journal.close()
        opened.release()
    assert facts(states[0]) == facts(states[1]), "I12: recovered otherwise the second time"
    count_up(states[0])
    shutil.rmtree(copy)
    return states[0]
