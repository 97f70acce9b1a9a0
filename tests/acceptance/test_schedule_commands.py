"""`taskqueue schedule …` as its users meet it."""

import json
import signal
from pathlib import Path

import pytest

from tests.acceptance.test_cli import Shell

pytestmark = pytest.mark.cluster

APP = """
import taskqueue_ray as tq

class Backup(tq.Job):
    queue = "backups"

    def handle(self):
        return self.payload["db"]
"""


def test_a_schedule_from_the_shell(tmp_path: Path) -> None:
    """Made by the original tool's words, fired while a worker runs, and deleted."""
    shell = Shell(tmp_path)
    (tmp_path / "app_jobs.py").write_text(APP)
    shell.run(
        "schedule:manage", "create", "--schedule", "every second", "--job-class", "app_jobs:Backup",
        "--job-id", "nightly", "--recurring", "--arg", "db=main", "--max-runs", "2",
    )  # fmt: skip
    rows = json.loads(shell.run("schedule", "list", "--json"))["schedules"]
    assert [row["id"] for row in rows] == ["nightly"]
    worker = shell.start("work", "backups", "--app", "app_jobs")
    shell.until("completed", 2, "backups")
    rows = shell.document("schedule", "list")["schedules"]
    assert [(row["state"], row["fired"]) for row in rows] == [("ended", 2)]
    assert len(shell.document("jobs", "list", "--schedule", "nightly")["jobs"]) == 2
    job = shell.document("schedule", "run-now", "nightly")["job"]
    shell.until("completed", 3, "backups")
    assert shell.document("jobs", "show", job)["result"] == "main"
    shell.run("schedule", "delete", "--job-id", "nightly")
    assert shell.document("schedule", "list")["schedules"] == []
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
