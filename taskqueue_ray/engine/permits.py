"""Running code that waits for units of a rate, and the alarm for limits that open.

Who waits is served in the order of coming, before jobs that wait for the same limit: it holds an
executor meanwhile.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from taskqueue_ray.core.commands import Acquire
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import AcquireRequest, Permit
from taskqueue_ray.core.meters import MeterId
from taskqueue_ray.engine.fleet import Respond, hold
from taskqueue_ray.engine.writepath import WritePath

EARLY = 0.0005
"""Seconds by which an alarm may come too early without ringing again."""


@dataclass(slots=True)
class _Waiter:
    command: Acquire
    deadline: float
    respond: Respond
    at: float


class Permits:
    """Who waits for a permit, by meter. `alarm` rings the engine after so many seconds."""

    def __init__(self, path: WritePath, alarm: Callable[[float], None]) -> None:
        self._path = path
        self._alarm = alarm
        self._lines: dict[MeterId, deque[_Waiter]] = {}
        self._set_for = 0.0

    def acquire(self, request: AcquireRequest, respond: Respond) -> None:
        """Answers with a `Permit`, at the latest when its time is up."""
        command = Acquire(request.name, request.units, request.key)
        line = self._lines.get((request.name, request.key))
        now = self._path.clock.now()
        permit = Permit(False, now)
        if not line:
            try:
                permit = self._path.execute(command)
            except TaskQueueError as refusal:
                self._path.refuse(respond, refusal)
                return
        if permit.given or request.wait <= 0:
            self._path.answer(respond, permit)
        else:
            deadline = now + hold(request.wait)
            waiter = _Waiter(command, deadline, respond, permit.at)
            self._lines.setdefault((request.name, request.key), deque()).append(waiter)
        self._path.commits.flush()

    def serve(self, now: float) -> None:
        """Give what can be given, and send away whose time is up."""
        for mid, line in list(self._lines.items()):
            for waiter in [one for one in line if one.deadline <= now]:
                line.remove(waiter)
                self._path.answer(waiter.respond, Permit(False, max(now, waiter.at)))
            while line and self._serve(line[0]):
                line.popleft()
            if not line:
                del self._lines[mid]

    def _serve(self, waiter: _Waiter) -> bool:
        """Whether it waits no more: the limit may also have changed so that it never could."""
        try:
            permit: Permit = self._path.execute(waiter.command)
        except TaskQueueError as refusal:
            self._path.refuse(waiter.respond, refusal)
            return True
        waiter.at = permit.at
        if permit.given:
            self._path.answer(waiter.respond, permit)
        return permit.given

    def mind(self, now: float) -> None:
        """Have the engine woken when the next limit opens that somebody waits for."""
        gates = self._path.state.ready.gates
        if not gates.places and not self._lines:
            return
        dues = [min(line[0].at, line[0].deadline) for line in self._lines.values()]
        if gates.places and (opening := gates.next_opening(now)) is not None:
            dues.append(opening)
        due = min(dues, default=0.0)
        if due and not (now < self._set_for <= due):
            self._set_for = due
            self._alarm(max(EARLY, due - now))

    def close(self, error: TaskQueueError) -> None:
        """Nobody will be served any more."""
        for line in self._lines.values():
            for waiter in line:
                waiter.respond(error)
        self._lines.clear()
