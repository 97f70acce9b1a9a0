"""`taskqueue schedule …` as far as it needs no cluster: reading, explaining, refusing."""

import json
from pathlib import Path

import pytest

from taskqueue_ray.cli.app import main
from taskqueue_ray.core import events
from taskqueue_ray.core.dispatch import decide
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.keyring import make_key_file
from taskqueue_ray.engine.opening import Identity, open_storage
from taskqueue_ray.storage.filesystem import LocalFileSystem
from taskqueue_ray.storage.journal import JournalSettings
from tests.records import START
from tests.schedules import put
from tests.unit.cli.conftest import Run

APP = """
import taskqueue_ray as tq

class Backup(tq.Job):
    def handle(self):
        return 1

def plain():
    pass
"""


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A storage that nobody owns, with two schedules."""
    path = tmp_path / "queue"
    keyring = make_key_file(tmp_path / "key")
    opened = open_storage(
        LocalFileSystem(path), str(path), Identity("c", "a"), keyring,
        settings=JournalSettings(ballast=0),
    )  # fmt: skip
    state, made = State(), []
    for command in (put("one", max_runs=3), put("two", words="\x1b[31mred")):
        made += decide(state, command, START).events
    opened.journal.commit(events.encode(made))
    opened.journal.close()
    opened.release()
    return path


def test_explain_needs_no_queue(run: Run) -> None:
    words = ("schedule", "explain", "every day at 2:30 AM", "--tz", "Europe/Berlin", "-n", "2")
    told = json.loads(run(*words, "--json").out)
    assert told["canonical"]
    assert told["tz"] == "Europe/Berlin"
    assert [one["local"][11:16] for one in told["next"]] == ["02:30", "02:30"]
    assert "02:30" in run(*words).out
    assert run("schedule:manage", "explain", "--schedule", "0 3 * * *").code == 0


def test_the_zone_of_the_setting_holds_where_none_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKQUEUE_TIMEZONE", "America/New_York")
    assert json.loads(run("schedule", "explain", "@daily", "--json").out)["tz"] == (
        "America/New_York"
    )
    assert json.loads(run("schedule", "explain", "@daily", "--tz", "UTC", "--json").out)["tz"] == (
        "UTC"
    )
    monkeypatch.setenv("TASKQUEUE_TIMEZONE", "Europe/Berln")
    refused = run("schedule", "explain", "@daily")
    assert refused.code == 2
    assert "Europe/Berlin" in refused.err


def test_lists_and_times_are_read_from_the_folder(run: Run, planned: Path) -> None:
    rows = json.loads(run("schedule", "list", "--json").out)["schedules"]
    assert [row["id"] for row in rows] == ["one", "two"]
    assert "\x1b" not in run("schedule", "list").out
    times = json.loads(run("schedule", "next", "one", "--json").out)["next"]
    assert len(times) == 3
    both = json.loads(run("schedule", "next", "--json", "-n", "4").out)["next"]
    assert {one["id"] for one in both} == {"one", "two"}
    shown = json.loads(run("schedule", "show", "--job-id", "one", "--json").out)
    assert (shown["id"], shown["max_runs"]) == ("one", 3)
    assert "in words" in run("schedule", "show", "one").out


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["explain"], 2, "say what to explain"),
        (["explain", "every 5"], 2, "every 5"),
        (["explain", "0 3 * * *", "--tz", "Mars/Olympus"], 2, "tz"),
        (["show", "none"], 1, "no schedule"),
        (["show"], 2, "--job-id"),
        (["show", "one", "--job-id", "one"], 2, "--job-id"),
        (["backfill", "one", "--from", "yesterday", "--to", "2027-01-01T00:00Z"], 2, "from"),
        (["backfill", "one", "--from", "2027-01-01T00:00", "--to", "x"], 2, "from"),
        (["create", "--schedule", "sometimes", "--job-class", "shop:Backup"], 2, "sometimes"),
        (["create", "--schedule", "0 3 * * *", "--job-class", "Backup"], 2, "job-class"),
        (["create", "--schedule", "0 3 * * *", "--job-class", "shop:plain"], 2, "job-class"),
        (["create", "--schedule", "0 3 * * *", "--job-class", "none:Backup"], 2, "none"),
        (["create", "--schedule", "0 3 * * *", "--job-class", "shop:Backup", "--arg", "x"],
         2, "arg"),
        (["create", "--schedule", "in 5 minutes", "--job-class", "shop:Backup", "--recurring"],
         2, "recurring"),
        (["create", "--schedule", "0 3 * * *", "--job-class", "shop:Backup", "--until", "soon"],
         2, "until"),
    ],
)  # fmt: skip
def test_refused(
    run: Run, planned: Path, tmp_path: Path, command: list[str], code: int, words: str
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    ended = run("schedule", *command)
    assert ended.code == code, ended
    assert words in " ".join(ended.err.replace("│", " ").split())


def test_a_folder_without_a_queue(run: Run) -> None:
    assert run("schedule", "list").code == 1
    assert main(["schedule", "--help"]) == 0
