"""The first moments of an executor: from a copy of the fork server to a process of its own."""

import gc
import os
import signal
import socket
import sys
from typing import NamedTuple, TextIO

from taskqueue_ray.engine.logs import set_up_jobs
from taskqueue_ray.executor.cell import Cell
from taskqueue_ray.executor.child import SyncExecutor
from taskqueue_ray.executor.kernel import die_with_parent
from taskqueue_ray.executor.loop import AsyncExecutor
from taskqueue_ray.executor.messages import Fork, Preload
from taskqueue_ray.executor.sealed import find_sealer


class Endowment(NamedTuple):
    """The descriptors that an executor is given: its channel, its cell, where its output goes."""

    channel: int
    cell: int
    output: int


def live(parent: int, order: Fork, setup: Preload, given: Endowment) -> None:
    """Be an executor, in a child that was just forked by process `parent`. Returns at its end."""
    os.setpgid(0, 0)
    die_with_parent()
    if os.getppid() != parent:
        return
    _reset_signals()
    _redirect(given.output)
    _renew_chance()
    set_up_jobs(os.environ)
    gc.enable()
    channel = socket.socket(fileno=given.channel)
    cell = Cell(given.cell, order.slots)
    sealer = find_sealer(setup.max_result, setup.inline)
    if order.kind == "async":
        AsyncExecutor(channel, cell, sealer, setup.allowed).serve()
    else:
        SyncExecutor(channel, cell, sealer, setup.allowed).serve()


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _redirect(output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    # New ones, since the old may have been files, which can seek, and these are pipes. By line, so
    # that what a job said is there when the job is killed.
    sys.stdout = _by_line(1)
    sys.stderr = _by_line(2)


def _by_line(descriptor: int) -> TextIO:
    return open(
        descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def _renew_chance() -> None:
    """Siblings must not draw the same random numbers. Python sees to its own after a fork."""
    # Looked up by its own name: numpy loads it on first use, which would cost each child memory.
    if generator := sys.modules.get("numpy.random"):
        generator.seed()
