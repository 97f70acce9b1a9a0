"""One executor as its worker holds it: its lines, what it was given, what to blame it for."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Literal, NamedTuple

from taskqueue_ray.cluster.link import Link
from taskqueue_ray.cluster.output import Output
from taskqueue_ray.cluster.recycling import private_memory
from taskqueue_ray.cluster.waiting import Ticket
from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import ExecutorKind, JobId, Options
from taskqueue_ray.executor.cell import Cell, Mark
from taskqueue_ray.executor.messages import (
    Assign,
    Cancel,
    Recall,
    Recalled,
    Reply,
    Report,
    Stop,
)

Charge = Literal["timeout", "blocked", "cancel", "exit"]
"""What a job may be held to account for when its executor ends."""


class Remains(NamedTuple):
    """The jobs of an executor that has ended: those that ran, those that had begun and whose
    outcome was not heard, and those that had not begun.
    """

    running: list[tuple[Mark, Ticket]]
    begun: list[Ticket]
    fresh: list[Ticket]


class ExecutorSlot:
    """An executor and the tickets that it holds, by the ordinals that it counts too.

    `load` is the seconds of work that it is expected to hold, `moved` when it was last seen to
    get on. `charged` are the ordinals for whose sake it was killed, and why. `born_with` is its
    private memory at its start, in bytes, `born_at` when it was first looked at; `worn` says that
    it is to be replaced.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        kind: ExecutorKind,
        slots: int,
        take: Callable[["ExecutorSlot", Report], None],
        write: Callable[[JobId | None, str], None],
    ) -> None:
        self.number = number
        self.kind = kind
        self.slots = slots
        self.pid = 0
        self.held: dict[int, Ticket] = {}
        self.load = 0.0
        self.moved = 0.0
        self.recalling = False
        self.giving_back = False
        self.killed_at = 0.0
        self.finished = 0
        self.born_with = 0
        self.born_at = 0.0
        self._grown: dict[str, int] = {}
        self._grown_to = 0
        self._last_type = ""
        self.worn = False
        self.retired_at = 0.0
        self.charged: dict[int, Charge] = {}
        self._write = write
        self._sent = 0
        self.cell = Cell.make(slots)
        ours, self._theirs = socket.socketpair()
        pipe, self._pipe = os.pipe()
        self._link = Link(loop, ours, lambda report: take(self, report))
        self._output = Output(loop, pipe, self._say)

    @property
    def stays(self) -> bool:
        """Whether it is neither ending nor to end."""
        return not self.killed_at and not self.retired_at

    def endowment(self) -> list[int]:
        """The descriptors that the executor itself gets; the caller owns them."""
        return [self._theirs.detach(), os.dup(self.cell.fd), self._pipe]

    def born(self, pid: int) -> None:
        """Its process is there; 0 says that there is none."""
        self.pid = pid
        self.born_with = private_memory(pid) if pid else 0

    def assign(self, tickets: list[Ticket], now: float) -> None:
        """Give it these, to be run in this order."""
        if not self.held:
            self.moved = now
        options: dict[int, Options] = {}
        grants: list[Grant] = []
        ordinal = self._sent
        for ticket in tickets:
            grant = ticket.grant
            # Indexes are those of the reply that a grant came with; replies may be mixed here.
            if options.setdefault(grant.options, ticket.options) is not ticket.options:
                self._link.send(Assign(options, grants))
                options, grants = {grant.options: ticket.options}, []
            grants.append(grant)
            ordinal += 1
            self.held[ordinal] = ticket
            self.load += ticket.expected
        self._sent = ordinal
        self._link.send(Assign(options, grants))

    def settle(self, ordinal: int) -> Ticket | None:
        """Take back the ticket of a run that is over, or was recalled."""
        ticket = self.held.pop(ordinal, None)
        if ticket is not None:
            self.load = self.load - ticket.expected if self.held else 0.0
            self._last_type = ticket.options.type
        return ticket

    def charge(self, grown: int) -> None:
        """It has grown by so much since its birth: what is new is put down to its last job."""
        more, self._grown_to = grown - self._grown_to, grown
        self._grown[self._last_type] = self._grown.get(self._last_type, 0) + more

    def hungriest(self) -> str:
        """The job type with whose runs it has grown most."""
        return max(self._grown, key=self._grown.__getitem__, default="")

    def recall(self) -> None:
        """Ask for all that has not begun; answered by a report."""
        if not self.recalling:
            self.recalling = True
            self._link.send(Recall())

    def recalled(self, report: Recalled) -> list[Ticket]:
        """The tickets that came back, in their order."""
        self.recalling = False
        return [ticket for ordinal in report.ordinals if (ticket := self.settle(ordinal))]

    def cancel(self, ids: list[JobId]) -> None:
        """Tell it that these jobs are to be cancelled."""
        self._link.send(Cancel(ids))

    def stop(self) -> None:
        """Tell it to end when it is done."""
        self._link.send(Stop())

    def retire(self, now: float) -> None:
        """Tell it to end between two jobs; it gets no more of them."""
        self.retired_at = now
        self.stop()

    def reply(self, order: Reply) -> None:
        """Answer a job's call."""
        self._link.send(order)

    def running(self) -> list[tuple[Mark, Ticket]]:
        """What has begun and not ended, as far as it is not settled here."""
        return [
            (mark, ticket)
            for mark in self.cell.running()
            if (ticket := self.held.get(mark.ordinal)) is not None
        ]

    def gathers(self) -> Ticket | None:
        """The first of the jobs that it has for a vectorized call, if it has begun none."""
        first = next(iter(self.held.values()), None)
        if first is None or not first.options.batch or self.kind != "process" or self.running():
            return None
        return first

    def holds_up(self) -> bool:
        """Whether jobs wait in it behind others."""
        return len(self.held) > max(1, len(self.running())) and self.gathers() is None

    def on_stage(self) -> Mark | None:
        """The run that holds the main thread now, unless it is settled here."""
        head = self.cell.head()
        return head if head.began and head.ordinal in self.held else None

    def drain(self) -> None:
        """Take in every report that it had sent."""
        self._link.drain()

    def remains(self) -> Remains:
        """What an executor that has ended leaves, once `drain` was called."""
        running = self.running()
        marked = {mark.ordinal for mark, _ in running}
        latest = self.cell.latest()
        begun: list[Ticket] = []
        fresh: list[Ticket] = []
        for ordinal, ticket in self.held.items():
            if ordinal not in marked:
                (begun if ordinal <= latest else fresh).append(ticket)
        return Remains(running, begun, fresh)

    def close(self) -> None:
        """Close all lines."""
        self._link.close()
        self._output.close()
        self.cell.close()

    def _say(self, line: str) -> None:
        stage = self.on_stage()
        if stage and self.kind == "process" and len(self.cell.running()) > 1:
            stage = None  # what a call says is of all its jobs
        ticket = self.held.get(stage.ordinal) if stage else None
        self._write(ticket.grant.id if ticket else None, line)
