"""`taskqueue alerts …` as its users meet it."""

from pathlib import Path

import pytest

from tests.acceptance.test_cli import Shell

pytestmark = pytest.mark.cluster

APP = """
import taskqueue_ray as tq

@tq.job(queue="oncall", priority=15)
def page(alert: dict) -> str:
    return f"{alert['rule']}: {alert['state']}"
"""


def test_a_rule_from_the_shell_tells_a_job(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    (tmp_path / "oncall_jobs.py").write_text(APP)
    shell.run("alerts", "add", "deep", "--when", "pending > 2", "--queue", "mail",
              "--job", "oncall_jobs:page", "--log")  # fmt: skip
    [rule] = [one for one in shell.document("alerts", "list")["alerts"] if not one["builtin"]]
    assert rule["sinks"] == ["log", "job oncall_jobs.page"]
    told = shell.document("alerts", "test", "deep")["results"]
    assert sorted(one["what"] for one in told) == ["delivered", "delivered"]
    [job] = shell.document("jobs", "list", "--queue", "oncall")["jobs"]
    assert (job["state"], job["type"], job["priority"]) == ("pending", "oncall_jobs.page", 15)
