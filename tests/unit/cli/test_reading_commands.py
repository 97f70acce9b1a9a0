"""Commands that only look: no owner, no Ray, nothing changed."""

import json
import sys
from hashlib import sha256
from pathlib import Path

from tests.records import job_id
from tests.unit.cli.conftest import Run


def _fingerprint(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_they_change_nothing(run: Run, folder: Path) -> None:
    before = _fingerprint(folder)
    commands = [
        ("stats",), ("stats", "mail"), ("stats", "--json"), ("status",), ("status", "--json"),
        ("jobs", "list"), ("jobs", "list", "--json"), ("jobs", "show", job_id(1).hex()),
        ("storage", "verify"), ("storage", "verify", "--json"), ("storage", "dump"),
        ("nodes", "list"), ("nodes", "list", "--json"), ("nodes", "strategy"),
        ("quotas", "list"), ("quotas", "list", "--json"),
        ("test", "--jobs", "0"), ("queue:test", "--jobs", "0"),
        ("jobs", "cancel", "--all", "--dry-run"), ("jobs", "purge", "--dry-run"),
        ("jobs", "redrive", "--all", "--dry-run"),
    ]  # fmt: skip
    for command in commands:
        ended = run(*command)
        assert (ended.code, ended.err) == (0, ""), command
    assert _fingerprint(folder) == before


def test_a_dry_run_counts_what_would_move(run: Run, folder: Path) -> None:
    first = job_id(1).hex()
    for words, count in (
        (("cancel", "--all"), 3),
        (("cancel", "--all", "--queue", "other"), 0),
        (("cancel", "--all", "--state", "pending", "--type", "t"), 3),
        (("cancel", first, first), 1),
        (("redrive", "--all", "--error", "TimeoutError", "--workflow", "w:1"), 0),
        (("redrive", first), 0),
    ):
        shown = run("jobs", *words, "--dry-run").out
        assert shown == f"would {words[0]} {count} job{'' if count == 1 else 's'}\n", words


def test_stats(run: Run, folder: Path) -> None:
    document = json.loads(run("stats", "--json").out)
    assert document["storage"] == str(folder)
    [queue] = document["queues"]
    assert (queue["queue"], queue["pending"], queue["total"]) == ("mail", 3, 3)
    assert "mail" in run("stats").out


def test_lists_are_filtered_and_cut(run: Run, folder: Path) -> None:
    page = json.loads(run("jobs", "list", "--json", "--limit", "2").out)
    assert [job["id"] for job in page["jobs"]] == [job_id(1).hex(), job_id(2).hex()]
    assert page["complete"] is False
    assert json.loads(run("jobs", "list", "--json", "--queue", "x").out)["jobs"] == []
    assert json.loads(run("jobs", "list", "--json", "--state", "failed").out)["jobs"] == []


def test_text_of_others_is_shown_escaped(run: Run, folder: Path) -> None:
    for command in (("jobs", "list"), ("jobs", "show", job_id(3).hex())):
        shown = run(*command).out
        assert "\x1b" not in shown
        assert "\\x1b[31m[bold]x[/bold]" in shown


def test_verify_names_the_damage(run: Run, folder: Path) -> None:
    [segment] = (folder / "journal").iterdir()
    data = bytearray(segment.read_bytes())
    data[10] ^= 1
    segment.write_bytes(data)
    ended = run("storage", "verify")
    assert ended.code == 1
    assert f"journal/{segment.name} is damaged at byte 0" in ended.err
    ended = run("storage", "verify", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["error"]["file"] == f"journal/{segment.name}"


def test_verify_names_a_large_payload_that_was_changed(run: Run, folder: Path) -> None:
    (folder / "blobs").mkdir()
    named = f"{job_id(9).hex()}-payload-{sha256(b'sealed').hexdigest()}.1"
    file = folder / "blobs" / named
    file.write_bytes(b"sealed")
    ended = run("storage", "verify")
    assert ended.code == 0
    assert f"blobs/{named} is named by no job" in ended.err
    file.write_bytes(b"seal")
    ended = run("storage", "verify")
    assert ended.code == 1
    assert f"blobs/{named} is damaged" in ended.err
    assert "sound" not in ended.out
    ended = run("storage", "verify", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["sound"]) == (1, False)
    assert document["damaged_blobs"] == [f"blobs/{named}"]


def test_dump_is_a_line_for_each_event(run: Run, folder: Path) -> None:
    lines = [json.loads(line) for line in run("storage", "dump").out.splitlines()]
    assert [line["event"] for line in lines] == ["enqueued"]
    assert len(lines[0]["jobs"]) == 3
    assert run("storage", "dump", "--limit", "1").code == 0


def test_takeover_begins_an_epoch_and_leaves_the_storage_free(run: Run, folder: Path) -> None:
    before = json.loads(run("storage", "verify", "--json").out)["epoch"]
    ended = run("storage", "takeover", "--yes")
    assert (ended.code, ended.err) == (0, "")
    after = json.loads(run("storage", "verify", "--json").out)
    assert (after["epoch"], after["jobs"]["mail"]["pending"]) == (before + 1, 3)
    assert json.loads(run("status", "--json").out)["running"] is False


def test_ray_was_not_loaded_for_any_of_it(run: Run, folder: Path) -> None:
    loaded = set(sys.modules)
    assert run("stats").code == 0
    assert not {name for name in set(sys.modules) - loaded if name.split(".")[0] == "ray"}
