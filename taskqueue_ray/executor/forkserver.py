"""The process from which a worker's executors are forked.

`python -m taskqueue_ray.executor.forkserver FD PATH` is a clean interpreter that never ran job
code or Ray. It imports what executors need once, so that each of them costs only what it changes.
It has one thread: the parent-death signal of the executors follows the thread that forked them.

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
from typing import NoReturn

from taskqueue_ray.core.errors import InvalidKey
from taskqueue_ray.executor.birth import Endowment, live
from taskqueue_ray.executor.kernel import (
    adopt_orphans,
    children,
    die_with_parent,
    kill,
    kill_group,
    live_without_parent,
)
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
_GENERATIONS = 100_000
"""A bound on the burials at the end, should something fork faster than it is killed."""


class ForkServer:
    """Forks executors, reports their ends, and leaves nothing behind."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._numbers: dict[int, int] = {}
        gc.disable()  # a collection would copy the pages that executors share
        self._before: dict[int, set[int]] = {}
        self._setup = Preload((), (), (), 0)
        self._signal, waker = socket.socketpair()
        self._signal.setblocking(False)
        waker.setblocking(False)
        self._waker = waker

    def serve(self) -> None:
        """Take orders until the worker goes away."""
        # An import that hangs cannot hear that the worker has gone.
        die_with_parent()
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
        data, fds, _, _ = socket.recv_fds(self._control, CONTROL_LIMIT, 3, socket.MSG_CMSG_CLOEXEC)
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
        # From here on there may be executors to clean up after.
        live_without_parent()
        self._report(Preloaded(problems))

    def _fork(self, order: Fork, fds: list[int]) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._report(Forked(order.number, 0, str(error)))
        else:
            if pid == 0:
                self._be_executor(parent, order, Endowment(*fds))
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)  # the child does so too: whoever comes first
            self._numbers[pid] = order.number
            self._report(Forked(order.number, pid))
        for fd in fds:
            os.close(fd)

    def _be_executor(self, parent: int, order: Fork, given: Endowment) -> NoReturn:
        status = 70
        try:
            self._control.close()
            self._signal.close()
            self._waker.close()
            live(parent, order, self._setup, given)
            sys.stdout.flush()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _kill(self, number: int) -> None:
        for pid, its in self._numbers.items():
            if its == number:
                self._before[pid] = self._orphans()
                kill_group(pid)

    def _reap(self) -> None:
        """Note the ends of executors; bury orphans."""
        while (ended := _peek()) is not None:
            if ended in self._numbers:
                # Its group goes while it still holds the number of it.
                kill_group(ended)
            _, status = os.waitpid(ended, 0)
            number = self._numbers.pop(ended, None)
            if number is not None:
                self._kill_escaped(ended)
                self._report(Exited(number, os.waitstatus_to_exitcode(status)))

    def _kill_escaped(self, pid: int) -> None:
        """Kill what a killed executor had put into groups of their own: it came to us just now."""
        before = self._before.pop(pid, None)
        if before is not None:
            for orphan in self._orphans() - before:
                kill(orphan)

    def _orphans(self) -> set[int]:
        return children() - self._numbers.keys()

    def _end(self) -> None:
        for pid in self._numbers:
            kill_group(pid)
        # The orphans of the dead come to us, and theirs after them.
        for _ in range(_GENERATIONS):
            for pid in children():
                kill(pid)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def _report(self, report: ControlReport) -> None:
        self._control.sendall(encode(report))


def _peek() -> int | None:
    """A child that has ended and is still there to be waited for."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def main() -> None:
    """Serve on the control socket whose descriptor is the first argument.

    The second is the module path of the worker's environment, which started this process with a
    fuller one: programs that jobs start are to see the worker's.
    """
    if sys.argv[2]:
        os.environ["PYTHONPATH"] = sys.argv[2]
    else:
        os.environ.pop("PYTHONPATH", None)
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    ForkServer(control).serve()


if __name__ == "__main__":
    main()
