"""Where executors come from: the worker's fork server, started again when it dies."""

import asyncio
from collections.abc import Callable, Mapping

from taskqueue_ray.cluster.executor_slot import ExecutorSlot
from taskqueue_ray.cluster.fork_line import ForkLine
from taskqueue_ray.cluster.incidents import Incident
from taskqueue_ray.executor.messages import (
    ControlReport,
    Exited,
    Forked,
    Preload,
    Preloaded,
)

PRELOAD_PATIENCE = 120.0
"""Seconds that the application's modules may take to import, before it is done without them."""

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0


class Nursery:
    """Keeps one fork server alive. `exited` hears of each executor's end (its slot's number and
    its status), `lost` of the server's, with which all its executors end.

    A server that dies or hangs while it imports the application is replaced by one that does not:
    the executors import on first use then, and what fails there is a failed attempt.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        modules: tuple[str, ...],
        search: tuple[str, ...],
        max_result: int,
        inline: int,
        exited: Callable[[int, int], None],
        lost: Callable[[], None],
        tell: Callable[[Incident], None],
    ) -> None:
        self._environment = environment
        self._modules = modules
        self._preload = modules
        self._search = search
        self._max_result = max_result
        self._inline = inline
        self._exited = exited
        self._lost = lost
        self._tell = tell
        self._line: ForkLine | None = None
        self._slots: dict[int, ExecutorSlot] = {}
        self._wait = _FIRST_WAIT
        self._start_at = 0.0
        self._give_up_at = 0.0
        self._ended = False
        self.ready = asyncio.Event()
        self.unusable: dict[str, str] = {}
        """Modules that could not be imported, and why."""

    @property
    def pid(self) -> int:
        """The fork server's process id, 0 when there is none."""
        return self._line.pid if self._line else 0

    def start(self, now: float) -> None:
        """Start a fork server; `ready` is set when it can fork."""
        loop = asyncio.get_running_loop()
        line = ForkLine(loop, self._take, self._on_lost)
        self._line = line
        self._give_up_at = now + PRELOAD_PATIENCE
        self._start_at = now + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        sizes = (self._max_result, self._inline)
        setup = Preload(self._preload, self._modules, self._search, *sizes)
        try:
            line.start(self._environment, setup)
        except OSError as error:
            self._tell(Incident("server", f"the fork server could not be started: {error}"))
            line.end(0.0)
            self._line = None

    def fork(self, slot: ExecutorSlot) -> None:
        """Bring the slot's executor to life."""
        if self._line is not None:
            self._slots[slot.number] = slot
            self._line.fork(slot.number, slot.kind, slot.slots, slot.endowment())

    def kill(self, slot: ExecutorSlot) -> None:
        """Kill the slot's executor; its end is told."""
        if self._line is not None:
            self._line.kill(slot.number)

    def tick(self, now: float) -> None:
        """Start the server again when it is time, and give up on one that hangs."""
        if self._line is None:
            if now >= self._start_at and not self._ended:
                self.start(now)
        elif not self.ready.is_set() and now >= self._give_up_at:
            self._tell(Incident("preload", "the imports of the application take too long"))
            self.abandon()

    def abandon(self) -> None:
        """Kill a server that does not do its work."""
        if self._line is not None:
            self._line.end(0.0)
            self._on_lost()

    async def end(self, patience: float) -> None:
        """Hang up and wait for the server's end, for good."""
        self._ended = True
        line, self._line = self._line, None
        self.ready.clear()
        if line is not None:
            line.close()
            await asyncio.to_thread(line.end, patience)

    def _take(self, report: ControlReport) -> None:
        match report:
            case Preloaded(problems):
                self.unusable = dict(problems)
                for module, problem in problems.items():
                    self._tell(Incident("preload", f"{module} cannot be used: {problem}"))
                self._wait = _FIRST_WAIT
                self.ready.set()
            case Forked(number, pid, problem):
                if slot := self._slots.get(number):
                    slot.born(pid)
                if not pid:
                    self._tell(Incident("fork", f"no executor could be started: {problem}"))
                    self._end_of(number, 0)
            case Exited(number, status):
                self._end_of(number, status)

    def _end_of(self, number: int, status: int) -> None:
        if self._slots.pop(number, None) is not None:
            self._exited(number, status)

    def _on_lost(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.end(0.0)
        if not self.ready.is_set() and self._preload:
            self._preload = ()
            self._tell(
                Incident(
                    "preload",
                    f"the fork server died while it imported {', '.join(self._modules)}; the "
                    "next one leaves the imports to the executors",
                )
            )
        else:
            self._tell(Incident("server", "the fork server died; another one is started"))
        self.ready.clear()
        self._slots.clear()
        self._lost()
