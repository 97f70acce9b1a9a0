"""The single write path: decide, apply, commit, answer."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from taskqueue_ray.core import commands
from taskqueue_ray.core.bounds import Bounds
from taskqueue_ray.core.dispatch import apply, decide
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.events import Event, Leased
from taskqueue_ray.core.exchange import Save, WorkerInfo
from taskqueue_ray.core.model import Job, JobId
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.clock import Clock
from taskqueue_ray.engine.commits import Commits
from taskqueue_ray.engine.fleet import Fleet, Respond
from taskqueue_ray.engine.meter import Meter

OVERDUE = 4
"""Portions of overdue jobs that are ended before a lease, so that none holds up the loop."""


class WritePath:
    """State and the only way in which it changes while the queue runs."""

    def __init__(
        self,
        state: State,
        commits: Commits,
        fleet: Fleet,
        clock: Clock,
        random: Callable[[], float],
        bounds: Bounds,
    ) -> None:
        self.state = state
        self.commits = commits
        self.fleet = fleet
        self.clock = clock
        self._random = random
        self.bounds = bounds
        self.meter = Meter(state, clock.now())
        self.on_ended: Callable[[list[Job]], None] | None = None
        """Told of jobs that end, when somebody waits."""

    def execute(self, command: commands.Command) -> Any:
        """Decide a command and make what follows from it a fact, not yet a durable one.

        Raises the `TaskQueueError` with which the command is refused.
        """
        decision = decide(self.state, command, self.clock.now(), self.bounds)
        self.record(decision.events)
        return decision.reply

    def note_started(self, worker: str, ids: list[JobId]) -> None:
        """These jobs run. Nobody waits to hear that it is durable."""
        start = commands.Start(worker, ids)
        self.record(decide(self.state, start, self.clock.now()).events, urgent=False)

    def note_saved(self, worker: str, saves: list[Save]) -> None:
        """These runs have saved something. It becomes durable with what others wait for."""
        checkpoint = commands.Checkpoint(worker, saves)
        self.record(decide(self.state, checkpoint, self.clock.now()).events, urgent=False)

    def lease(self, worker: WorkerInfo, want: int) -> list[Leased]:
        """Lease jobs to a worker; the events say which."""
        now = self.clock.now()
        for _ in range(OVERDUE):
            if not self.state.expiring.due(now):
                break
            self.execute(commands.Promote())  # else what is overdue would stand in front
        events = decide(self.state, commands.Lease(worker, want), now).events
        self.record(events)
        return [event for event in events if isinstance(event, Leased)]

    def record(self, events: list[Event], *, urgent: bool = True) -> None:
        """Apply events and pass them on to the next commit; see `Commits.append`."""
        if not events:
            return
        state = self.state
        ended_before = len(state.unfolded)
        measure = self.meter.take
        for event in events:
            apply(state, event)
            measure(event)
        self.commits.append(events, urgent=urgent)
        ended = len(state.unfolded) - ended_before
        if ended > 0 and self.on_ended is not None:
            # Whatever ends goes to the end of `unfolded`, in order.
            self.on_ended(list(islice(reversed(state.unfolded.values()), ended)))

    def answer(self, respond: Respond, reply: Any) -> None:
        """Respond when all that was applied so far is durable. A refusal waits as well."""
        self.commits.then(lambda error: respond(error or reply))

    def chances(self, count: int) -> list[float]:
        """Random numbers in [0, 1)."""
        random = self._random
        return [random() for _ in range(count)]

    def refuse(self, respond: Respond, error: TaskQueueError) -> None:
        """Answer with an error, by the same rule as any other answer."""
        self.answer(respond, error)
