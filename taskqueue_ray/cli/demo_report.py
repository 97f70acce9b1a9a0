"""What the demo found: the table, the checks, and what to try next."""

import importlib.util
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskqueue_ray.cli.demo_jobs import Digest
from taskqueue_ray.cli.render import complain, print_table, say

COLUMNS = ("", "files", "lines", "bytes", "syntax nodes", "sha256 of all")


@dataclass(slots=True)
class Findings:
    """The digests of the queue beside those of a direct loop, and how it went. In seconds."""

    direct: dict[str, Digest]
    queued: dict[str, Digest | None]
    lost: list[str]
    counts: dict[str, int]
    retries: int
    expected_retries: int
    poison: str
    rows: int
    enqueue_seconds: float
    seconds: float
    kill_pid: int
    recovery: float
    epochs: tuple[int, int]
    kill_problem: str
    seconds_in_all: float = 0.0

    @property
    def problems(self) -> list[str]:
        """What is not as it should be; empty when all is well."""
        files = len(self.direct)
        wrong = [path for path, mine in self.queued.items() if mine != self.direct[path]]
        checks = {
            f"{len(wrong)} digests differ ({wrong[:1]})": not wrong,
            f"{len(self.lost)} jobs did not complete: {self.lost[:1]}": not self.lost,
            f"{self.counts['completed']} jobs completed instead of {files}": (
                self.counts["completed"] == files
            ),
            f"{self.counts['failed']} jobs failed instead of the poison job": (
                self.counts["failed"] == 1
            ),
            f"the history has {self.rows} rows instead of {files + 1}": self.rows == files + 1,
            f"{self.retries} retries instead of at least {self.expected_retries}": (
                self.retries >= self.expected_retries
            ),
            f"the poison job ended so: {self.poison}": "exit code 70" in self.poison,
            f"the queue was not killed and recovered: {self.kill_problem}": (
                self.kill_pid > 0 and self.epochs[1] > self.epochs[0]
            ),
        }
        return [problem for problem, fine in checks.items() if not fine]

    @property
    def rate(self) -> float:
        """Jobs per second, the recovery included."""
        return (len(self.direct) + 1) / self.seconds

    def sums(self) -> list[dict[str, Any]]:
        """A row for the direct loop and one for the queue."""
        return [_sums("direct loop", self.direct), _sums("the queue", self.queued)]

    def document(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "sums": self.sums(),
            "counts": self.counts,
            "retries": self.retries,
            "poison": self.poison,
            "history_rows": self.rows,
            "jobs_per_second": self.rate,
            "enqueue_seconds": self.enqueue_seconds,
            "recovery_seconds": self.recovery,
            "epochs": self.epochs,
            "seconds_in_all": self.seconds_in_all,
            "problems": self.problems,
        }


def report(findings: Findings, storage: str) -> None:
    """For people."""
    say()
    print_table(findings.sums(), COLUMNS, empty="", right=COLUMNS[1:])
    say()
    say(
        f"{len(findings.direct):,} files digested once each, {findings.retries} failed attempts "
        f"retried, the poison job is a dead letter ({findings.poison})"
    )
    say(
        f"the queue was killed and took {findings.recovery:.1f} s to recover (epoch "
        f"{findings.epochs[0]} to {findings.epochs[1]}); {findings.rate:,.0f} jobs/s with that, "
        f"{findings.seconds:.1f} s; {findings.seconds_in_all:.0f} s for the whole demo"
    )
    for problem in findings.problems:
        complain(problem)
    if not findings.problems:
        say("every count is equal: nothing was lost, nothing was counted twice", "green")
    say("\nto try next:")
    for command in commands(storage):
        say(f"  {command}", "cyan")


def commands(storage: str) -> list[str]:
    """Three that work on what the demo leaves behind."""
    program = shlex.quote(_program())
    where = f"--storage {shlex.quote(storage)}"
    return [
        f"{program} jobs list --state failed {where}",
        f"{program} storage verify {where}",
        f"{shlex.quote(_python())} -c {shlex.quote(_reading(storage))}",
    ]


def _reading(storage: str) -> str:
    """A program that reads the Parquet history with what is installed here."""
    if importlib.util.find_spec("pandas"):
        return (
            f'import pandas; h = pandas.read_parquet("{storage}/history"); '
            'print(h.groupby(["state", "priority"]).seconds.describe())'
        )
    if importlib.util.find_spec("duckdb"):
        return (
            "import duckdb; "
            f'h = duckdb.read_parquet("{storage}/history/*/*.parquet"); '
            'print(h.aggregate("state, priority, count(*), avg(seconds)"))'
        )
    return (
        f'import pyarrow.parquet as p; h = p.read_table("{storage}/history"); '
        'print(h.group_by("state").aggregate([("seconds", "mean"), ("id", "count")]))'
    )


def _program() -> str:
    return _short(sys.argv[0]) if Path(sys.argv[0]).name in ("taskqueue", "tq") else "taskqueue"


def _python() -> str:
    return _short(sys.executable)


def _short(path: str) -> str:
    """A path as it is typed here."""
    try:
        near = os.path.relpath(path)
    except ValueError:
        return path
    return near if not near.startswith("..") and os.sep in near else path


def _sums(name: str, digests: "dict[str, Digest] | dict[str, Digest | None]") -> dict[str, Any]:
    import hashlib

    there = [one for _, one in sorted(digests.items()) if one is not None]
    together = hashlib.sha256("".join(one.sha256 for one in there).encode()).hexdigest()
    return {
        "": name,
        "files": len(there),
        "lines": sum(one.lines for one in there),
        "bytes": sum(one.size for one in there),
        "syntax nodes": sum(max(0, one.nodes) for one in there),
        "sha256 of all": together[:16],
    }
