"""What the command line refuses: one clear line, the right exit code, no traceback, no Ray."""

import io
from pathlib import Path

import pytest

from tests.records import job_id
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("stats", 1, "there is no queue"),
        ("jobs list", 1, "there is no queue"),
        ("storage verify", 1, "there is no queue"),
        ("storage dump", 1, "there is no queue"),
        ("storage takeover --yes", 1, "there is no queue"),
        ("stats --storage s3://bucket/queue", 2, "not supported yet"),
        ("stats --storage ftp://x", 2, "is no storage"),
        ("storage verify --storage memory://x", 2, "has no files"),
        ("test --priority 500", 2, "priority"),
        ("test --queue ../x", 2, "queue"),
        ("test --delay nan", 2, "delay"),
        ("test --jobs -1", 2, "jobs"),
        ("work --workers x", 2, "workers"),
        ("work --workers 4:2", 2, "workers"),
        ("work --workers 0", 2, "workers"),
        ("work --memory 1", 2, "memory_limit"),
        ("work --max-jobs 0", 2, "max_jobs"),
        ("work --timeout soon", 2, "timeout"),
        ("work --cancel-grace -1", 2, "cancel_grace"),
        ("work --app no_such_module", 2, "no module 'no_such_module'"),
        ("work UPPER", 2, "queue"),
        ("dashboard serve --host 0.0.0.0 --no-token", 2, "loopback"),
        ("dashboard serve --tls-cert x", 2, "tls"),
        ("up --dashboard 127.0.0.1:0", 2, "--foreground"),
        ("up --foreground --dashboard here", 2, "HOST:PORT"),
        ("jobs show zzz", 2, "32 hexadecimal digits"),
        ("jobs redrive", 2, "--all"),
        ("queues configure mail --retention soon", 2, "retention"),
        ("queues configure mail --retention failed=0", 2, "retention.failed"),
        ("jobs redrive --all --dry-run --priority 101", 2, "priority"),
        ("jobs redrive --all --dry-run --to-queue Mail", 2, "queue"),
        ("jobs redrive --all --dry-run --timeout soon", 2, "timeout"),
        ("jobs redrive --all --dry-run --max-attempts 0", 2, "max_attempts"),
        ("jobs cancel --all zzz", 2, "--all"),
        ("jobs cancel --all --state completed", 2, "unfinished"),
        ("jobs cancel zzz --queue mail", 2, "--queue goes with --all"),
        ("jobs redrive --error TimeoutError", 2, "--all"),
        ("jobs purge --state pending", 2, "have not"),
        ("jobs purge --older-than never", 2, "older_than"),
        ("jobs list --state sleeping", 2, "sleeping"),
        ("jobs list --limit 0", 2, "limit"),
        ("enqueue taskqueue_ray.jobs:TestJob --arg x", 2, "NAME=VALUE"),
        ("enqueue taskqueue_ray.jobs:TestJob --arg x:={", 2, "JSON after :="),
        ("enqueue taskqueue_ray.jobs:TestJob --priority 500", 2, "priority"),
        ("enqueue taskqueue_ray.jobs:TestJob --lines /no/such/file", 2, "cannot read"),
        ("enqueue taskqueue_ray.jobs:TestJob --lines x --id y", 2, "--lines goes without"),
        ("enqueue tests.unit.sdk.jobs_for_tests:send", 2, "'to' is missing"),
        ("enqueue tests.unit.sdk.jobs_for_tests:send -a to=x -a times=many", 2, "'times'"),
        ("enqueue tests.unit.sdk.jobs_for_tests:undecorated", 2, "no job type"),
        ("enqueue no.such:job", 2, "there is no module 'no.such'"),
        ("enqueue nobody.knows.it", 2, "no job type"),
        ("quotas list", 1, "there is no queue"),
        ("nodes list", 1, "there is no queue"),
        ("quotas set cpu -1", 2, "No such option"),
        ("quotas set cpu -- -1", 2, "quota cpu"),
        ("quotas set cpu 120%", 2, "percentages"),
        ("quotas set cpu 0.5", 1, "below one worker"),
        ("quotas set memory lots", 2, "memory"),
        ("quotas set gpu 1 --queue No", 2, "queue"),
        ("nodes strategy fastest", 2, "round_robin"),
        ("nodes drain x --within soon", 2, "within"),
        ("alerts add x --when pending", 2, "pending > 1000"),
        ("alerts add x --when depth>1", 2, "oldest_waiting"),
        ("alerts add x --when workers<1 --queue mail", 2, "has no queues"),
        ("alerts add x --when pending>1 --severity loud", 2, "critical"),
        ("alerts add x --when pending>1 --slack-env NOBODY", 2, "not set"),
        ("alerts add x --when pending>1 --webhook http://x --secret-env NOBODY", 2, "not set"),
        ("alerts add x --when pending>1 --email a@b.c --smtp mail", 2, "a host and a port"),
        ("alerts add x --when pending>1 --job nowhere:job", 2, "no module 'nowhere'"),
        ("alerts add x --when pending>1 --job taskqueue_ray.jobs:TestJob", 2, "a function"),
        ("alerts add x", 2, "--when"),
        ("alerts list", 1, "there is no queue"),
        ("alerts history", 1, "there is no queue"),
        ("no-such-command", 2, "No such command"),
        ("stats --no-such-option", 2, "No such option"),
        ("help no-such-command", 2, "No such command"),
    ],
)
def test_refused(run: Run, folder_maybe: None, command: str, code: int, words: str) -> None:
    ended = run(*command.split())
    assert ended.code == code
    assert words in " ".join(ended.err.replace("│", " ").split())
    assert "Traceback" not in ended.err
    assert ended.out == ""


@pytest.fixture
def folder_maybe(request: pytest.FixtureRequest) -> None:
    """A storage, for the commands that would otherwise be refused for want of one."""
    command = request.node.callspec.params["command"]
    if command.startswith("jobs") and command != "jobs list":
        request.getfixturevalue("folder")


def test_an_unknown_job(run: Run, folder: Path) -> None:
    ended = run("jobs", "show", job_id(99).hex())
    assert ended.code == 1
    assert ended.err == f"error: no job {job_id(99).hex()} in this queue\n"


def test_bulk_moves_ask(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for command in (
        ("jobs", "cancel", "--all"),
        ("jobs", "retry", "--all"),
        ("jobs", "purge"),
        ("storage", "takeover"),
    ):
        ended = run(*command)
        assert ended.code == 1, command
        assert "Aborted" in ended.err


def test_a_bad_setting_in_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKQUEUE_CONCURRENCY", "many")
    ended = run("work")
    assert ended.code == 2
    assert "setting concurrency" in ended.err


def test_keys(run: Run, tmp_path: Path) -> None:
    made = run("keys", "new").out.strip()
    assert made != run("keys", "new").out.strip()
    place = tmp_path / "made"
    assert run("keys", "new", "--file", str(place)).code == 0
    before = place.read_text()
    assert place.stat().st_mode & 0o777 == 0o600
    again = run("keys", "new", "--file", str(place))
    assert again.code == 1
    assert "never replaced" in again.err
    assert place.read_text() == before
    assert before.strip() not in again.out + again.err


def test_help_and_list_name_every_command(run: Run) -> None:
    listed = run("list").out
    for name in (
        "demo",
        "test",
        "work",
        "stats",
        "bench",
        "jobs list",
        "storage verify",
        "keys new",
    ):
        assert f"\n{name} " in f"\n{listed}"
    assert "queue:work" not in listed
    for words in ((), ("work",), ("jobs",), ("jobs", "list"), ("storage", "takeover")):
        ended = run("help", *words)
        assert ended.code == 0
        assert "Usage: taskqueue " + " ".join(words) in ended.out
    assert run("--version").out.strip()
