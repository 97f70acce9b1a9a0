"""What runs in a process that Ray has started for job code: an actor's, or that of one task.

It is a process executor like those that a worker forks, with another birth: it finds its keys and
modules by itself, as the worker does, and then gets its line from the worker.
"""

import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

import psutil
import ray

from taskqueue_ray.cluster import rim
from taskqueue_ray.cluster.config import NAMESPACE
from taskqueue_ray.cluster.post import Post, decode_post
from taskqueue_ray.core.errors import KeyMissing, QueueClosed
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.keyring import Keyring
from taskqueue_ray.engine.logs import set_up_jobs
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.executor.cell import Cell
from taskqueue_ray.executor.child import SyncExecutor

PATIENCE = 10.0
PRELOAD_PATIENCE = 120.0
"""Seconds that one of the application's modules may take to import."""

_PIECE = 64 * 1024

log = logging.getLogger(__name__)


class RayExecutor:
    """The actor: runs jobs until its worker says stop."""

    def serve(self, post: bytes) -> None:
        """Run what the worker sends."""
        serve(post)


def serve(data: bytes) -> None:
    """Be an executor of the worker that `data` names; returns when that says stop.

    Raises `KeyMissing` where this node has no key, and `QueueClosed` when no worker waits for it.
    """
    post = decode_post(data)
    sys.path.extend(path for path in post.import_paths if path not in sys.path)
    keyring = keyring_of(rim.settings(post.key_file))
    if keyring is None:
        raise KeyMissing("any", [])
    _furnish(post, keyring)
    _preload(post.app)
    line = _line_here(post) or _line_from_afar(post)
    sealer = Sealer(keyring, max_size=post.max_result, inline=post.inline)
    try:
        SyncExecutor(line.channel, line.cell, sealer, post.app, line.lost).serve()
    finally:
        line.hang_up()


def _furnish(post: Post, keyring: Keyring) -> None:
    """What `tq.connect()` in a job looks for, in this process alone."""
    os.environ["TASKQUEUE_ENCRYPTION_KEYS"] = keyring.as_variable()
    os.environ["TASKQUEUE_MAX_PAYLOAD"] = str(post.max_result)
    os.environ["TASKQUEUE_INLINE_PAYLOAD"] = str(post.inline)
    os.environ["TASKQUEUE_MAX_BATCH"] = str(post.max_batch)
    os.environ["TASKQUEUE_LOG_LEVEL"] = post.log_level
    os.environ["TASKQUEUE_LOG_FORMAT"] = post.log_format
    set_up_jobs(os.environ)


def _preload(modules: tuple[str, ...]) -> None:
    """Import them. A job that needs one that failed, or hung, fails with the reason; others do not.

    What hangs where no exception gets through, in C code, ends this process at last.
    """
    last_resort = threading.Timer(2 * PRELOAD_PATIENCE, end_process)
    last_resort.daemon = True
    last_resort.start()
    for module in modules:
        try:
            with _time_limit(PRELOAD_PATIENCE):
                importlib.import_module(module)
        except BaseException as error:
            log.warning("%s cannot be imported: %r", module, error)
    last_resort.cancel()


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in the block when it takes longer. In the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


class _Line:
    """The channel and the cell of an executor."""

    def __init__(self, channel: socket.socket, cell: Cell) -> None:
        self.channel = channel
        self.cell = cell
        self._is_over = False

    def lost(self) -> None:
        """The worker has hung up. While there is work here, that is the end of this process."""
        if not self._is_over:
            end_process()

    def hang_up(self) -> None:
        """All was said."""
        self._is_over = True
        self.channel.shutdown(socket.SHUT_WR)


def _line_here(post: Post) -> _Line | None:
    """The line that the worker hands over when it is on this machine; None when it is not."""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reception:
        reception.settimeout(PATIENCE)
        reception.connect(f"\0{post.address}")
        reception.sendall(post.token)
        _, fds, _, _ = socket.recv_fds(reception, 1, 2)
        if len(fds) == 2:
            return _Line(socket.socket(fileno=fds[0]), Cell(fds[1]))
    return None


class _FarLine(_Line):
    """The same for one elsewhere: two threads carry the bytes to the worker and back."""

    def __init__(self, worker: Any, token: bytes) -> None:
        ours, self._theirs = socket.socketpair()
        super().__init__(ours, Cell.make())
        self._worker = worker
        self._token = token
        self._up = threading.Thread(target=self._carry_up, name="to-worker", daemon=True)
        self._up.start()
        threading.Thread(target=self._carry_down, name="from-worker", daemon=True).start()

    def hang_up(self) -> None:
        super().hang_up()
        self._up.join(PATIENCE)

    def _carry_up(self) -> None:
        try:
            while data := self._theirs.recv(_PIECE):
                if not ray.get(self._worker.carry_in.remote(self._token, data)):
                    break
        except Exception:
            log.exception("the line to the worker broke")
        self.lost()

    def _carry_down(self) -> None:
        try:
            while data := ray.get(self._worker.carry_out.remote(self._token)):
                self._theirs.sendall(data)
        except Exception:
            log.exception("the line from the worker broke")
        self.lost()


def _line_from_afar(post: Post) -> _Line:
    try:
        worker = ray.get_actor(post.worker, NAMESPACE)
    except ValueError:
        raise QueueClosed("the worker that started this executor has gone") from None
    if not ray.get(worker.attach.remote(post.token)):
        raise QueueClosed("the worker that started this executor waits for it no more")
    return _FarLine(worker, post.token)


def end_process() -> NoReturn:
    """End this process, and what its jobs have started, at once.

    Not its process group, which can be that of Ray on this node.
    """
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    os._exit(1)
