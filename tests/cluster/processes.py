"""The processes of this run of the tests, found by a variable that all of them inherit."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

RUN = "TASKQUEUE_TEST_RUN"
PROGRAM = "TASKQUEUE_TEST_PROGRAM"
SERVER = "taskqueue_ray.executor.forkserver"


def ours(variable: str = RUN, value: str = "") -> list[psutil.Process]:
    """All processes that this run of the tests, or one of its programs, has started."""
    found = []
    wanted = value or os.environ[RUN]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(variable) == wanted and process.pid != os.getpid():
                found.append(process)
    return found


def executors() -> list[psutil.Process]:
    """Fork servers and executors: what runs job code, and what it was forked from."""
    found = []
    for process in ours():
        with suppress(psutil.Error):
            if SERVER in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def fork_server_of(worker: int) -> psutil.Process:
    """The fork server of a worker's process."""
    (server,) = (child for child in psutil.Process(worker).children() if SERVER in child.cmdline())
    return server


def is_alive(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to one process."""
    os.kill(pid, how)


def descendants(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def folder_is_free(folder: Path) -> bool:
    """Whether nobody holds the lock of a storage."""
    from taskqueue_ray.storage.filesystem import LocalFileSystem

    if not (folder / "LOCK").exists():
        return True
    lock = LocalFileSystem(folder).lock("LOCK")
    if lock is not None:
        lock.release()
    return lock is not None
