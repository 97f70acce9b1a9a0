"""The process from which a worker's executors are forked: `python -m taskqueue_ray.executor.forkserver FD`.

A clean interpreter that never ran job code or Ray. It imports what executors need once, so that
each of them costs only what it changes. Single threaded: its own thread is the one that the
kernel's parent-death signal of the executors follows.

It lives in a session of its own. When its worker is gone, however that happened, it kills what
the worker's executors were and started, and ends.
"""

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback

from taskqueue_ray.core.errors import InvalidKey
from taskqueue_ray.executor.birth import become
from taskqueue_ray.executor.kernel import adopt_orphans, orphans
from taskqueue_ray.executor.messages import (
    CONTROL_LIMIT,
    ControlReport,
    Exited,
    Fork,
    Forked,
    Kill,
    Preload,
    Preloaded,
    decode_control_order,
    encode,
)
from taskqueue_ray.executor.sealed import sealer_of_process

_MAX_PROBLEM = 8 * 1024


class ForkServer:
    """Forks executors, reports their ends, and leaves nothing behind."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pids: dict[int, int] = {}
        self._before: dict[int, set[int]] = {}
        self._setup = Preload((), (), (), 0)
        self._signal, waker = socket.socketpair()
        self._signal.setblocking(False)
        waker.setblocking(False)
        self._waker = waker

    def serve(self) -> None:
        """Take orders until the worker goes away."""
        adopt_orphans()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._signal, select.POLLIN)
        with contextlib.suppress(ConnectionError):
            while True:
                ready = dict(poll.poll())
                if self._signal.fileno() in ready:
                    self._signal.recv(4096)
                    self._reap()
                if self._control.fileno() in ready and not self._obey():
                    break
        self._end()

    def _obey(self) -> bool:
        data, fds, _, _ = socket.recv_fds(
            self._control, CONTROL_LIMIT, 3, socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            return False
        match decode_control_order(data):
            case Preload() as order:
                self._preload(order)
            case Fork() as order:
                self._fork(order, fds)
            case Kill(number):
                self._kill(number)
        return True

    def _preload(self, order: Preload) -> None:
        self._setup = order
        sys.path.extend(folder for folder in order.search if folder not in sys.path)
        problems = {}
        for module in order.preload:
            try:
                importlib.import_module(module)
            except BaseException:  # an application's module may raise anything, or exit
                problems[module] = traceback.format_exc()[-_MAX_PROBLEM:]
        try:
            sealer_of_process(order.max_result)
        except InvalidKey as error:
            problems["encryption key"] = str(error)
        # What is there now is not looked at by the executors' collectors, so stays shared.
        gc.collect()
        gc.freeze()
        self._report(Preloaded(problems))

    def _fork(self, order: Fork, fds: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._report(Forked(order.number, 0, str(error)))
            return
        finally:
            ...
