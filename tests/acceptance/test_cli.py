"""The command line as its users meet it: real processes, real Ray, one storage for them all."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import taskqueue_ray as tq

pytestmark = pytest.mark.cluster

PATIENCE = 90.0
COMMAND = Path(sys.executable).parent / "taskqueue"
JOBS = """
import time
from datetime import date
from pathlib import Path
import taskqueue_ray as tq

@tq.job(queue="slow", max_attempts=1)
def wait(seconds: float) -> str:
    time.sleep(seconds)
    return "waited"

@tq.job(queue="slow", max_attempts=1)
def wait_for(gate: Path) -> str:
    while not gate.exists():
        time.sleep(0.02)
    return "waited"

@tq.job(queue="mail")
def greet(name: str, times: int = 1, at: date | None = None) -> str:
    return f"{name}{'!' * times} {at!r}"

@tq.job(queue="slow", max_attempts=1)
def fail() -> None:
    raise ValueError("\\x1b[31mno")
"""
ENQUEUE = """
import sys, shop, taskqueue_ray as tq
with tq.connect() as q:
    print(*(q.enqueue(eval("shop." + text)).id for text in sys.argv[1:]))
"""


class Shell:
    """A user with nothing set up: an empty home, a storage of its own, no Ray to join."""

    def __init__(self, home: Path) -> None:
        self.home = home
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TASKQUEUE_", "RAY_"))
        }
        self.environment = inherited | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local" / "share"),
            "TASKQUEUE_STORAGE": str(home / "queue"),
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "NO_COLOR": "1",
        }
        (home / "shop.py").write_text(JOBS)
        (home / "enqueue.py").write_text(ENQUEUE)

    def run(self, *words: str, code: int = 0) -> str:
        return self._run([str(COMMAND), *words], code)

    def document(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def enqueue(self, *calls: str) -> list[str]:
        return self._run([sys.executable, "enqueue.py", *calls], 0).split()

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(COMMAND), *words], cwd=self.home, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def until(self, state: str, count: int, queue: str = "slow") -> None:
        """Wait until that many jobs are in that state."""
        deadline = time.monotonic() + PATIENCE
        while self.document("stats", queue)["queues"][0][state] != count:
            assert time.monotonic() < deadline, self.run("stats")
            time.sleep(0.2)

    def _run(self, command: list[str], code: int) -> str:
        done = subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, text=True,
            timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback (most recent call last)" not in done.stderr
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    left = [
        process.pid
        for process in psutil.process_iter()
        if _environment(process).get("TASKQUEUE_STORAGE") == made.environment["TASKQUEUE_STORAGE"]
    ]
    assert left == [], "every command takes its processes with it"


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        found: dict[str, str] = process.environ()
    except psutil.Error:
        return {}
    return found


def _ready(worker: subprocess.Popen[str], sign: str = "queue: ") -> None:
    """Read what it says until it has said that."""
    assert worker.stdout is not None
    lines = []
    for line in worker.stdout:
        lines.append(line)
        if sign in line:
            return
    raise AssertionError("".join(lines))


def test_test_jobs_are_enqueued_worked_and_shown(shell: Shell) -> None:
    said = shell.run("test", "--jobs", "12", "--queue", "mail", "--priority", "9", "--fail", "1")
    assert "12 jobs are durable" in said
    [queue] = shell.document("stats")["queues"]
    assert (queue["queue"], queue["pending"]) == ("mail", 12)
    said = shell.run("work", "mail", "--workers", "1", "--concurrency", "2", "--burst")
    assert "done: 12 completed, 0 failed" in said
    [queue] = shell.document("stats")["queues"]
    assert (queue["completed"], queue["retries"]) == (12, 12)
    jobs = shell.document("jobs", "list", "--state", "completed")["jobs"]
    assert {(job["priority"], job["attempts"]) for job in jobs} == {(9, 2)}
    assert shell.document("jobs", "show", jobs[0]["id"])["result"].startswith("test job ")
    assert shell.document("storage", "verify")["jobs"]["mail"]["completed"] == 12


def test_jobs_are_enqueued_from_the_shell(shell: Shell) -> None:
    arguments = ("-a", "name=5", "-a", "times=2", "-a", "at=2030-01-01")
    chosen = tq.new_id()
    first = shell.run("enqueue", "shop:greet", *arguments, "--tag", "a", "--id", chosen).strip()
    (shell.home / "people").write_text('{"name": "Ada"}\n\n{"name": "Bob", "times": 3}\n')
    assert "2 jobs are durable" in shell.run("enqueue", "shop:greet", "--lines", "people")
    shell.run("work", "mail", "--workers", "1", "--app", "shop", "--burst")
    results = {
        job["result"]: job["id"]
        for one in shell.document("jobs", "list", "--state", "completed")["jobs"]
        for job in [shell.document("jobs", "show", one["id"])]
    }
    assert results.keys() == {"5!! datetime.date(2030, 1, 1)", "Ada! None", "Bob!!! None"}
    assert results["5!! datetime.date(2030, 1, 1)"] == first == chosen


def test_work_drains_and_leaves_at_once_when_hurried(shell: Shell) -> None:
    worker = shell.start("work", "slow", "--workers", "1", "--app", "shop")
    _ready(worker)
    gate = shell.home / "gate"
    shell.enqueue(f"wait_for.item(shop.Path({str(gate)!r}))", "wait.item(0.0)")
    shell.until("processing", 1)
    worker.send_signal(signal.SIGINT)
    _ready(worker, "draining")
    gate.touch()
    said, _ = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 0
    assert "giving back" not in said
    [queue] = shell.document("stats")["queues"]
    assert (queue["completed"], queue["pending"]) == (1, 1)

    worker = shell.start("work", "slow", "--workers", "1", "--app", "shop")
    _ready(worker)
    [long_one] = shell.enqueue("wait.item(300.0)")
    shell.until("processing", 1)
    worker.send_signal(signal.SIGINT)
    _ready(worker, "draining")
    worker.send_signal(signal.SIGINT)
    said, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert "giving back what runs" in said
    record = shell.document("jobs", "show", long_one)
    assert (record["state"], record["attempts"], record["losses"]) == ("pending", 0, 0)


def test_moves_on_a_running_queue_and_without_one(shell: Shell) -> None:
    worker = shell.start("work", "slow", "--workers", "1", "--app", "shop", "--max-jobs", "1")
    _ready(worker)
    assert shell.document("status")["running"] is True
    failed, other = shell.enqueue("fail.item()", "fail.item()")
    shell.until("failed", 2)
    shown = shell.run("jobs", "show", failed)
    assert "\\x1b[31mno" in shown
    assert "\x1b" not in shown
    again = ("--priority", "9", "--max-attempts", "1", "--timeout", "10m")
    assert "redrove 1 job" in shell.run("jobs", "retry", failed, *again)
    shell.until("failed", 2)
    assert shell.document("jobs", "show", failed)["priority"] == 9
    assert "would redrive 2 jobs" in shell.run("jobs", "redrive", "--all", "--dry-run")
    none = shell.run("jobs", "redrive", "--all", "--error", "KeyError", "--yes")
    assert "redrove 0 jobs" in none
    assert "deleted 1 job" in shell.run("jobs", "delete", other)
    shell.run("jobs", "cancel", failed, code=1)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 0
    assert "purged 1 job" in shell.run(
        "jobs", "purge", "--state", "failed", "--older-than", "0", "--yes"
    )
    assert [q["failed"] for q in shell.document("stats")["queues"]] == [0]


def test_the_demo_checks_itself_and_its_commands_work(shell: Shell) -> None:
    place = shell.home / "demo"
    found = json.loads(shell.run("demo", "--files", "60", "--storage", str(place), "--json"))
    assert found["problems"] == []
    assert found["counts"]["completed"] == 60
    assert found["epochs"][1] > found["epochs"][0]
    assert found["sums"][0]["sha256 of all"] == found["sums"][1]["sha256 of all"]
    assert shell.document("storage", "verify", "--storage", str(place))["history_rows"] == 61
    failed = shell.document("jobs", "list", "--state", "failed", "--storage", str(place))["jobs"]
    assert [job["error_type"] for job in failed] == ["exit code 70"]
    from taskqueue_ray.cli.demo_report import commands

    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    for line in commands(str(place)):
        # From here, since that is where they are relative to.
        done = subprocess.run(
            line, shell=True, env=shell.environment | {"PATH": path}, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"


@pytest.mark.slow
def test_the_bench_gives_one_document(shell: Shell) -> None:
    document = json.loads(shell.run("bench", "--quick", "--json"))
    figures = document["figures"]
    assert all(figure["median"] > 0 for figure in figures.values())
    assert figures["end_to_end"]["ratio"] == pytest.approx(
        figures["end_to_end"]["median"] / figures["raw_tasks"]["median"]
    )
    assert (document["fsync"], document["encryption"]) == (True, True)
