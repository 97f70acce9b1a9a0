"""Simulated schedules: who makes them and changes them, and two schedulers that ask to fire."""

from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from taskqueue_ray.core.commands import (
    Backfill,
    DropSchedule,
    PutSchedule,
    ReviseSchedule,
    RunSchedule,
)
from taskqueue_ray.core.envelopes import encode, open_reply
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import FireRequest
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.model import Options
from taskqueue_ray.core.retry import Backoff
from taskqueue_ray.core.rules import Cron, Every, Rule
from taskqueue_ray.core.schedule import CATCH_UPS, OVERLAPS, Plan, Template
from tests.simulation.scripts import make_script

if TYPE_CHECKING:
    from tests.simulation.world import World

NAMES = ("often", "seldom", "cron")
RULES: tuple[Rule, ...] = (Every(3.0), Every(11.0), Cron("* * * * * */5"))
HOLD = 3.0
PATIENCE = HOLD + 3.0


class Scheduler:
    """Asks the queue to fire, again and again. It may be frozen, and is one of two."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.chance = Random(f"{world.seed}/{name}")
        self._request = encode(FireRequest(name, HOLD))
        self._ask()

    def _ask(self) -> None:
        self.world.transport.call("fire", self._request, PATIENCE, lambda _: self._again())

    def _again(self) -> None:
        away = 8.0 if self.world.busy and self.chance.random() < 0.1 else 0.05
        self.world.agenda.later(away, self._ask)


class Planner:
    """Makes schedules, changes and drops them; at the end all of them."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.chance = Random(f"{world.seed}/planner")
        self.commands = 0
        for number in range(2):
            Scheduler(world, f"scheduler{number}")
        self._later(0.5, self._act)

    def _act(self) -> None:
        if not self.world.busy:
            # For ever, since a late copy of a call may make one once more.
            for name in NAMES:
                self._ask("drop_schedule", DropSchedule(name))
            self._later(PATIENCE, self._act)
            return
        name, luck = self.chance.choice(NAMES), self.chance.random()
        self.commands += 1
        command = f"planner-{self.commands}"
        if luck < 0.5:
            self._ask("put_schedule", self._put(name))
        elif luck < 0.65:
            paused = self.chance.random() < 0.4
            self._ask("revise_schedule", ReviseSchedule(name, paused=paused))
        elif luck < 0.8:
            self._ask("run_schedule", RunSchedule(name, command))
        elif luck < 0.9:
            now = self.world.agenda.now
            self._ask("backfill", Backfill(name, command, now - 20.0, now - 8.0))
        else:
            self._ask("drop_schedule", DropSchedule(name))
        self._later(self.chance.random() * 10, self._act)

    def _put(self, name: str) -> PutSchedule:
        chance = self.chance
        plan = Plan(
            chance.choice(RULES), "when", "words", overlap=chance.choice(OVERLAPS),
            catch_up=chance.choice(CATCH_UPS), window=chance.choice((30.0, 1e5)),
            jitter=chance.choice((0.0, 0.0, 2.0)), max_runs=chance.choice((0, 0, 5)),
        )  # fmt: skip
        options = Options("mail", "t", max_attempts=2, backoff=Backoff(base=0.5, max=3.0))
        payload = msgspec.msgpack.encode(make_script(chance))
        origin = make_job_id(self.world.agenda.now, chance.randbytes(9))
        template = Template(options, payload, origin, payload)
        return PutSchedule(name, plan, template, replace=chance.random() < 0.7)

    def _ask(self, method: str, command: Any) -> None:
        """Sometimes twice: a repeat must not count."""
        for _ in range(1 + (self.chance.random() < 0.3)):
            self.world.transport.call(method, encode(command), PATIENCE, _heed)

    def _later(self, delay: float, deed) -> None:  # type: ignore[no-untyped-def]
        self.world.agenda.later(delay, deed)


def _heed(reply: bytes | None) -> None:
    try:
        if reply is not None:
            open_reply(reply)
    except TaskQueueError:
        pass
