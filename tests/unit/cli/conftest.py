import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from taskqueue_ray.cli.app import main
from taskqueue_ray.core import events
from taskqueue_ray.core.model import Options
from taskqueue_ray.engine.keyring import make_key_file
from taskqueue_ray.engine.opening import Identity, open_storage
from taskqueue_ray.storage.filesystem import LocalFileSystem
from taskqueue_ray.storage.journal import JournalSettings
from tests.records import START, batch, spec


class Ended(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, for a user with nothing set up."""
    for name in list(os.environ):
        if name.startswith(("TASKQUEUE_", "RAY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TASKQUEUE_STORAGE", str(tmp_path / "queue"))
    monkeypatch.setenv("TASKQUEUE_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Ended:
        capsys.readouterr()
        code = main(list(words))
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A storage that nobody owns: three jobs wait, one of them with a name meant to do harm."""
    path = tmp_path / "queue"
    keyring = make_key_file(tmp_path / "key")
    opened = open_storage(
        LocalFileSystem(path), str(path), Identity("c", "a"), keyring,
        settings=JournalSettings(ballast=0),
    )  # fmt: skip
    harmful = Options(queue="mail", type="t", name="\x1b[31m[bold]x[/bold]")
    jobs = [spec(1), spec(2), spec(3, 1)]
    event = events.Enqueued(START, batch(jobs, Options(queue="mail", type="t"), harmful))
    opened.journal.commit(events.encode([event]))
    opened.journal.close()
    opened.release()
    return path
