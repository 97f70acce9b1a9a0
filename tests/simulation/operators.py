"""A simulated operator: pauses now and then, and ends all pauses when the work is to be done."""

from random import Random
from typing import TYPE_CHECKING

from taskqueue_ray.core.commands import Pause, Resume
from taskqueue_ray.core.envelopes import decode, encode, open_reply
from taskqueue_ray.core.errors import TaskQueueError

if TYPE_CHECKING:
    from tests.simulation.world import World

PAUSES = (("queue", "reports"), ("tag", "bulk"))
PATIENCE = 3.0


class Operator:
    """Does one thing after another, and repeats each until it is acknowledged."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.chance = Random(f"{world.seed}/operator")
        self._later(self.chance.random() * 20, self._act)

    def _act(self) -> None:
        if self.world.busy:
            self._pause(*self.chance.choice(PAUSES))
        else:
            # For ever, since a late copy of a call may pause it once more.
            for what in PAUSES:
                self._ask("resume", *what)
            self._later(PATIENCE, self._act)

    def _pause(self, kind: str, name: str) -> None:
        def done() -> None:
            self.world.note(f"{kind} {name} is paused")
            self.world.witness.order.paused.add((kind, name))
            self._later(2 + self.chance.random() * 10, lambda: self._resume(kind, name))

        self._insist("pause", kind, name, done)

    def _resume(self, kind: str, name: str) -> None:
        self.world.witness.order.paused.discard((kind, name))

        def done() -> None:
            # Whoever pauses again while copies of a resume are under way may be undone by one.
            late = self.world.transport.longest
            self._later(late + self.chance.random() * 20, self._act)

        self._insist("resume", kind, name, done)

    def _insist(self, method: str, kind: str, name: str, done) -> None:  # type: ignore[no-untyped-def]
        def answer(reply: bytes | None) -> None:
            # A former owner that has nothing to change answers by what it remembers.
            if _is_yes(reply) and self.world.agenda.now >= self.world.divided_until:
                done()
            elif self.world.busy or method == "resume":
                self._later(1.0, lambda: self._insist(method, kind, name, done))
            else:
                self._act()

        self._ask(method, kind, name, answer)

    def _ask(self, method: str, kind: str, name: str, answer=lambda reply: None) -> None:  # type: ignore[no-untyped-def]
        command = Pause(kind, name) if method == "pause" else Resume(kind, name)
        self.world.transport.call(method, encode(command), PATIENCE, answer)

    def _later(self, delay: float, deed) -> None:  # type: ignore[no-untyped-def]
        self.world.agenda.later(delay, deed)


def _is_yes(reply: bytes | None) -> bool:
    """Whether the queue has answered: that it did so now, or had done so before."""
    try:
        return reply is not None and decode(open_reply(reply), bool) in (True, False)
    except TaskQueueError:
        return False
