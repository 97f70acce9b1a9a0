"""The contract of the seam, on every disk that stands behind it."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from taskqueue_ray.storage.atomic import remove_leftovers, write_atomic, write_new
from taskqueue_ray.storage.filesystem import FileSystem, LocalFileSystem
from taskqueue_ray.storage.journal import JournalSettings
from taskqueue_ray.storage.memory import MemoryFileSystem
from tests.faultfs import Fault, FaultFileSystem
from tests.unit.storage.storage_trial import SMALL, Trial, open_storage


@pytest.fixture(params=["local", "memory", "fault"])
def fs(request: pytest.FixtureRequest, tmp_path: Path) -> FileSystem:
    if request.param == "local":
        return LocalFileSystem(tmp_path)
    return MemoryFileSystem() if request.param == "memory" else FaultFileSystem()


def test_append_read_and_truncate(fs: FileSystem) -> None:
    file = fs.create("name")
    file.write(b"hello ")
    file.write(b"world")
    file.sync()
    assert fs.read("name") == b"hello world"
    assert fs.read("name", 6) == b"world"
    assert fs.read("name", 2, 3) == b"llo"
    assert fs.read("name", 6, 100) == b"world"
    assert fs.read("name", 0, 0) == b""
    file.truncate(5)
    file.write(b"!")
    assert fs.read("name") == b"hello!"
    file.close()
    file.close()
    fs.shorten("name", 100)
    fs.shorten("name", 2)
    assert fs.read("name") == b"he"


def test_an_open_file_stays_what_it_was_when_another_takes_its_name(fs: FileSystem) -> None:
    write_atomic(fs, "name", b"first")
    file = fs.open("name")
    write_atomic(fs, "name", b"another")
    assert (file.size, file.read(0, 100), file.read(1, 2)) == (5, b"first", b"ir")
    file.close()
    file.close()
    with pytest.raises(FileNotFoundError):
        fs.open("none")


def test_names_are_taken_once(fs: FileSystem) -> None:
    fs.create("a").close()
    with pytest.raises(FileExistsError):
        fs.create("a")
    fs.create("b").close()
    with pytest.raises(FileExistsError):
        fs.move("a", "b", replace=False)
    fs.move("a", "b", replace=True)
    fs.move("b", "c", replace=False)
    assert fs.list("") == ["c"]


def test_directories(fs: FileSystem) -> None:
    assert fs.list("x/y") == []
    with pytest.raises(FileNotFoundError):
        fs.create("x/y/name")
    fs.make_directory("x/y")
    fs.make_directory("x/y")
    fs.create("x/y/name").close()
    fs.sync_directory("x/y")
    assert fs.exists("x")
    assert fs.exists("x/y/name")
    assert not fs.exists("x/y/other")
    assert (fs.list(""), fs.list("x"), fs.list("x/y")) == (["x"], ["y"], ["name"])
    with pytest.raises(OSError, match="not empty"):
        fs.remove("x/y")
    fs.make_directory("elsewhere")
    fs.move("x/y/name", "elsewhere/name", replace=False)
    fs.remove("x/y")
    assert fs.list("x") == []


@pytest.mark.parametrize("act", ["read", "remove", "move", "shorten", "sync_directory"])
def test_what_is_missing(fs: FileSystem, act: str) -> None:
    acts: dict[str, Callable[[], object]] = {
        "read": lambda: fs.read("gone"),
        "remove": lambda: fs.remove("gone"),
        "move": lambda: fs.move("gone", "there", replace=True),
        "shorten": lambda: fs.shorten("gone", 1),
        "sync_directory": lambda: fs.sync_directory("gone"),
    }
    with pytest.raises(FileNotFoundError):
        acts[act]()


def test_the_lock_is_exclusive(fs: FileSystem) -> None:
    lock = fs.lock("LOCK")
    assert lock is not None
    assert fs.lock("LOCK") is None
    lock.release()
    lock.release()
    again = fs.lock("LOCK")
    assert again is not None
    again.release()


def test_write_atomic_and_write_new(fs: FileSystem) -> None:
    write_atomic(fs, "name", b"one")
    write_atomic(fs, "name", b"two")
    assert fs.read("name") == b"two"
    with pytest.raises(FileExistsError):
        write_new(fs, "name", b"three")
    file = write_new(fs, "new", b"head", reserve=0)
    file.write(b" tail")
    file.close()
    assert fs.read("new") == b"head tail"
    assert fs.list("") == ["name", "new"]


def test_leftovers_are_stepped_over_and_removed(fs: FileSystem) -> None:
    fs.create("name.0.tmp").close()
    write_atomic(fs, "name", b"whole")
    assert fs.list("") == ["name", "name.0.tmp"]
    remove_leftovers(fs, "")
    assert fs.list("") == ["name"]


def test_a_life(fs: FileSystem) -> None:
    trial = Trial()
    assert trial.run(fs) is None
    assert open_storage(fs).payloads == trial.attempted


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock until its input ends."""
    program = (
        "import sys; from taskqueue_ray.storage.filesystem import LocalFileSystem\n"
        f"lock = LocalFileSystem({str(tmp_path)!r}).lock('LOCK')\n"
        "print('held' if lock else 'refused', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_holds_between_processes_and_goes_with_its_holder(
    tmp_path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    fs = LocalFileSystem(tmp_path)
    assert fs.lock("LOCK") is None
    other_process.kill()
    other_process.wait()
    lock = fs.lock("LOCK")
    assert lock is not None
    lock.release()


def test_files_and_locks_are_close_on_exec(tmp_path: Path) -> None:
    fs = LocalFileSystem(tmp_path)
    file, lock = fs.create("name"), fs.lock("LOCK")
    assert lock is not None
    for fd in (file._fd, lock._fd):  # type: ignore[attr-defined]
        assert not os.get_inheritable(fd)
    file.close()
    lock.release()


def test_space_is_reserved_for_real(tmp_path: Path) -> None:
    file = LocalFileSystem(tmp_path).create("name", 1 << 20)
    stat = (tmp_path / "name").stat()
    assert stat.st_size == 1 << 20
    assert stat.st_blocks * 512 >= 1 << 20
    file.write(b"payload")
    assert (tmp_path / "name").read_bytes()[:8] == b"payload\0"
    file.close()


def test_a_reservation_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="full"):
        LocalFileSystem(tmp_path).create("name", 4096)
    assert not list(tmp_path.iterdir())


def test_new_directories_are_synced_into_their_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("taskqueue_ray.storage.filesystem._sync_path", synced.append)
    LocalFileSystem(tmp_path / "a").make_directory("b/c")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a/b"]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = _open_descriptors()
    trial = Trial()
    fs = LocalFileSystem(tmp_path)
    opened = open_storage(fs)
    trial.commit(opened.journal)
    opened.journal.close()
    assert _open_descriptors() == before


def test_a_small_disk_that_fills_up_and_heals(tmp_path: Path) -> None:
    """On a real tmpfs of one MiB."""
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mount.returncode:
        pytest.skip("this machine does not let us mount")
    try:
        _fill_and_heal(LocalFileSystem(tmp_path / "queue"), tmp_path / "filler")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _write_until_full(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def _fill_and_heal(fs: LocalFileSystem, filler: Path) -> None:
    settings = JournalSettings(segment_limit=64 << 10, ballast=128 << 10)
    trial = Trial()
    journal = open_storage(fs, settings).journal
    _write_until_full(filler)
    while not journal.low_space:
        trial.commit(journal, size=5000)
    for _ in range(10):
        trial.commit(journal, size=5000)
    filler.unlink()
    assert journal.reclaim()
    trial.commit(journal)
    journal.close()
    again = open_storage(fs, settings)
    assert again.payloads == trial.attempted
    again.journal.close()


def test_planted_bug_no_sync_of_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault disk catches what a kill cannot: an entry that was never made durable."""
    monkeypatch.setattr(FaultFileSystem, "sync_directory", lambda self, name: None)
    fs, trial = FaultFileSystem(), Trial()
    trial.commit(open_storage(fs, SMALL).journal)
    fs.reboot()
    with pytest.raises(AssertionError):
        trial.check(open_storage(fs).payloads)


def test_planted_bug_fsync_retried() -> None:
    fs, trial = FaultFileSystem(), Trial()
    journal = open_storage(fs, SMALL).journal
    fs.fail(Fault(1, kinds=frozenset({"sync"})))
    file = journal._segment.file
    sync = file.sync

    def stubborn() -> None:
        try:
            sync()
        except OSError:
            sync()

    file.sync = stubborn  # type: ignore[method-assign]
    trial.commit(journal)
    fs.reboot()
    with pytest.raises(AssertionError):
        trial.check(open_storage(fs).payloads)
