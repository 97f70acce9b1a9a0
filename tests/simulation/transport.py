"""The network between the queue and everyone else: it loses, repeats, delays and reorders."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.agenda import Agenda

if TYPE_CHECKING:
    from tests.simulation.server import Server

Answer = Callable[[bytes | None], None]
"""Gets the reply, or None when none came in time: the call may have been served all the same."""

SLOW = 10


@dataclass
class Weather:
    """Chances for each message, and the longest delay in seconds."""

    lose: float = 0.0
    repeat: float = 0.0
    delay: float = 0.05


class Transport:
    """Carries calls to whichever server is at the address now."""

    def __init__(self, agenda: Agenda, chance: Random, route: Callable[[], "Server | None"]):
        self.weather = Weather()
        self._agenda = agenda
        self._chance = chance
        self._route = route

    def call(self, method: str, request: bytes, timeout: float, answer: Answer) -> None:
        """`answer` is called once, at the latest after `timeout` seconds."""
        open_calls = [answer]

        def finish(reply: bytes | None) -> None:
            if open_calls:
                open_calls.pop()(reply)

        for _ in range(self._copies()):
            self._carry(lambda: self._serve(method, request, finish))
        self._agenda.later(timeout, lambda: finish(None))

    def _serve(self, method: str, request: bytes, finish: Answer) -> None:
        server = self._route()
        if server is None:
            self._carry(lambda: finish(None))
        else:
            server.serve(method, request, lambda reply: self._return(reply, finish))

    def _return(self, reply: bytes, finish: Answer) -> None:
        for _ in range(self._copies()):
            self._carry(lambda: finish(reply))

    def _copies(self) -> int:
        luck = self._chance.random()
        if luck < self.weather.lose:
            return 0
        return 2 if luck > 1 - self.weather.repeat else 1

    @property
    def longest(self) -> float:
        """The seconds after which a message has come, or never will."""
        return SLOW * self.weather.delay

    def _carry(self, arrive: Callable[[], None]) -> None:
        # Most messages are quick; a few take so long that others overtake them.
        slow = SLOW if self._chance.random() < 0.1 else 1
        self._agenda.later(self._chance.random() * self.weather.delay * slow, arrive)
