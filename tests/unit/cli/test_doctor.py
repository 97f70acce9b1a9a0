"""`taskqueue doctor` and `alerts` where nobody owns the queue: no Ray, nothing changed."""

import json
import sys
from pathlib import Path

import pytest

from taskqueue_ray.storage.filesystem import LocalFileSystem
from taskqueue_ray.storage.owner import acquire_lock
from tests.unit.cli.conftest import Run


def _found(run: Run, *words: str) -> tuple[int, list[str], list[str]]:
    ended = run("doctor", "--json", *words)
    told = json.loads(ended.out)
    assert told["healthy"] == (ended.code == 0)
    problems, notes = ([one["what"] for one in told[key]] for key in ("problems", "notes"))
    return ended.code, problems, notes


def test_what_the_folder_alone_tells(run: Run, folder: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    loaded = set(sys.modules)
    assert _found(run) == (1, ["no cluster"], [])
    (tmp_path / "key").chmod(0o644)
    assert _found(run)[1] == ["the encryption key cannot be read", "no cluster"]
    (tmp_path / "key").unlink()
    assert not (tmp_path / "key").exists(), "it makes none"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not {name for name in set(sys.modules) - loaded if name.split(".")[0] == "ray"}


def test_where_there_is_no_queue_nothing_is_wrong_and_nothing_is_made(
    run: Run, tmp_path: Path
) -> None:
    assert _found(run) == (0, [], ["there is no queue yet"])
    assert not (tmp_path / "queue").exists()
    text = run("doctor")
    assert text.code == 0
    assert "✓ nothing is wrong" in text.out


def test_a_path_that_cannot_be_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, problems, _ = _found(run, "--storage", str(tmp_path / "file"))
    assert (code, problems) == (1, ["the storage cannot be used"])


def test_a_damaged_journal_is_named(run: Run, folder: Path) -> None:
    segment = max((folder / "journal").iterdir())
    data = bytearray(segment.read_bytes())
    data[90] ^= 1
    segment.write_bytes(data)
    manifest = next(folder.glob("MANIFEST*"))
    manifest.write_bytes(manifest.read_bytes()[:-5])
    text = run("doctor")
    assert text.code == 1
    assert "✗ the storage cannot be used" in text.out
    assert manifest.name in text.out
    assert "1 problem" in text.out


@pytest.mark.timeout(30)
def test_an_owner_that_cannot_be_reached(run: Run, folder: Path) -> None:
    lock = acquire_lock(LocalFileSystem(folder))
    assert lock is not None
    record = {"cluster_id": "c", "address": "127.0.0.1:1", "host": "elsewhere", "pid": 7,
              "epoch": 1, "started_at": 0, "heartbeat": 0}  # fmt: skip
    (folder / "OWNER").write_text(json.dumps({"record": record, "mac": ""}))
    try:
        code, problems, _ = _found(run)
    finally:
        lock.release()
    assert (code, problems) == (1, ["the queue's cluster cannot be reached"])


def test_rules_are_listed_without_an_owner(run: Run, folder: Path) -> None:
    told = json.loads(run("alerts", "list", "--json").out)["alerts"]
    assert told[0]["name"] == "queue_depth"
    assert told[0]["for"] == 300.0
    assert "pending of any queue > 100,000" in run("alerts", "list").out
    assert run("alerts", "list", "--firing").out == "nothing fires\n"
    assert run("alerts", "history").out == "nothing happened yet\n"
    assert "add workers" in run("alerts", "builtin", "--json").out
