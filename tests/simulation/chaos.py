"""What goes wrong, and when: drawn from the seed, more of it in some runs than in others."""

import errno
from random import Random
from typing import TYPE_CHECKING

from tests.faultfs import Fault
from tests.simulation.transport import Weather

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY = 24 * 3600.0
NEVER = 1 << 62


class Chaos:
    """Strikes now and then until the world is told to be kind."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.chance = chance = Random(f"{world.seed}/chaos")
        self.strikes = [
            self.kill_server, self.kill_server, self.cut_power, self.cut_power_in_mid_operation,
            self.fail_an_operation, self.fill_the_disk, self.second_server, self.kill_worker,
            self.freeze_worker, self.drain_worker, self.fold_now, self.slow_disk,
        ]  # fmt: skip
        # Swarm testing: each run knows only some of the faults, so that none hides another.
        self.strikes = chance.sample(self.strikes, chance.randint(2, len(self.strikes)))
        if chance.random() < 0.1:
            self.strikes.append(self.long_outage)
        world.transport.weather = Weather(
            chance.choice((0.0, 0.02, 0.1)), chance.choice((0.0, 0.05, 0.2)),
            chance.choice((0.01, 0.1, 0.5)),
        )  # fmt: skip
        world.disk_delay = chance.choice((0.02, 0.02, 0.5))
        self.pause = chance.choice((3.0, 8.0, 20.0))
        world.agenda.later(chance.random() * self.pause, self._strike)

    def _strike(self) -> None:
        if not self.world.busy:
            return
        strike = self.chance.choice(self.strikes)
        self.world.note(f"chaos: {strike.__name__}")
        strike()
        self.world.agenda.later(self.chance.random() * 2 * self.pause, self._strike)

    def calm(self) -> None:
        """Nothing goes wrong from now on."""
        self.world.transport.weather = Weather()
        self.world.disk_delay = 0.02
        self.world.fs.heal()
        self.world.fs.cut_power_at(NEVER)
        # One that never has anything to commit does not learn that it is fenced off.
        for server in self.world.former:
            server.kill()
        self.world.fs.capacity = None

    # --- the queue's process and its disk ---

    def kill_server(self) -> None:
        if self.world.server is not None:
            self.world.server.kill()

    def cut_power(self) -> None:
        self.world.power_cut()

    def cut_power_in_mid_operation(self) -> None:
        self.world.fs.cut_power_at(self.world.fs.operations + self.chance.randint(1, 30))

    def fail_an_operation(self) -> None:
        effect = self.chance.choice(("none", "half", "whole"))
        self.world.fs.fail(Fault(self.chance.randint(1, 20), effect=effect))

    def fill_the_disk(self) -> None:
        fs = self.world.fs
        fs.capacity = fs.used + self.chance.choice((0, 500, 3000))
        if self.chance.random() < 0.3:
            fs.fail(Fault(self.chance.randint(1, 5), errno.ENOSPC, kinds=frozenset({"sync"})))

        def free() -> None:
            fs.capacity = None

        self.world.agenda.later(self.chance.random() * 15, free)

    def slow_disk(self) -> None:
        self.world.disk_delay = self.chance.choice((0.02, 0.5, 4.0))

    def second_server(self) -> None:
        """A new one takes over while the old one still believes that it is the owner."""
        self.world.take_over()

    def fold_now(self) -> None:
        if self.world.server is not None:
            self.world.server.engine.folding.request()

    def long_outage(self) -> None:
        """Nobody is there for more than a day: ids and receipts pass their horizon."""
        self.world.agenda.leap(self.chance.choice((1.0, 1.2)) * DAY + 60)

    # --- workers ---

    def kill_worker(self) -> None:
        if workers := self.world.live_workers():
            self.chance.choice(workers).die()

    def freeze_worker(self) -> None:
        if workers := self.world.live_workers():
            self.chance.choice(workers).freeze(self.chance.choice((2.0, 10.0, 40.0)))

    def drain_worker(self) -> None:
        if self.world.server is not None and (workers := self.world.live_workers()):
            self.world.server.engine.drain(self.chance.choice(workers).info.id)
