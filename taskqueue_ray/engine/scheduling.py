"""Schedules on the side of the queue: they are kept here, and fired when a scheduler asks.

A scheduler is who holds a call of `fire`. There may be several, or one too many after a failure:
what one has fired is no news for the others. Without any, nothing is fired, and times are missed.
"""

from collections.abc import Callable

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import StorageFull
from taskqueue_ray.core.events import Fired
from taskqueue_ray.core.exchange import FireRequest, Fires, SchedulePage
from taskqueue_ray.core.scheduling import find, page, view
from taskqueue_ray.engine.fleet import Poll, Respond, hold
from taskqueue_ray.engine.work import Work
from taskqueue_ray.engine.writepath import WritePath

PORTION = 100
"""Times that are dealt with in one go, so that ten thousand at midnight hold nothing up."""

ABSENT = 2.0
"""Seconds without a scheduler after which one is missed."""

CarryOut = Callable[[commands.Command, Respond], None]
Growing = commands.PutSchedule | commands.RunSchedule | commands.Backfill


class Scheduling:
    """What clients and schedulers ask about schedules."""

    def __init__(
        self,
        path: WritePath,
        work: Work,
        carry_out: CarryOut,
        offer: Callable[[], None],
        location: str,
    ) -> None:
        self._path = path
        self._state = path.state
        self._work = work
        self._carry_out = carry_out
        self._offer = offer
        self._location = location
        self._polls = path.fleet.schedulers
        self._seen = path.clock.now()

    # --- schedulers -------------------------------------------------------------------------

    def fire(self, request: FireRequest, respond: Respond) -> None:
        """Fire what is due; answers with `Fires` at once, or when something has become due."""
        now = self._path.clock.now()
        self._seen = now
        earlier = self._polls.pop(request.scheduler, None)
        if earlier is not None:
            self._path.answer(earlier.respond, self._fires(0, now))
        fired = self._fire(now)
        wait = hold(request.wait)
        if fired or not wait:
            self._path.answer(respond, self._fires(fired, now))
        else:
            self._polls[request.scheduler] = Poll(0, now + wait, respond)

    def tick(self, now: float) -> None:
        """Fire what has become due, if a scheduler waits for that."""
        if not self._polls:
            return
        self._seen = now
        fired = self._fire(now)
        for name, poll in list(self._polls.items()):
            if fired or poll.deadline <= now:
                del self._polls[name]
                self._path.answer(poll.respond, self._fires(fired, now))

    def misses_one(self) -> bool:
        """Whether something is to be fired some day, and no scheduler is there."""
        absent = not self._polls and self._path.clock.now() - self._seen > ABSENT
        return absent and self._state.firing.head() is not None

    @property
    def next_wake(self) -> float | None:
        """When there is something to be dealt with."""
        head = self._state.firing.head()
        return None if head is None else head[0]

    def _fires(self, fired: int, now: float) -> Fires:
        return Fires(fired, self.next_wake or 0.0, now)

    def _fire(self, now: float) -> int:
        """How many times were dealt with. While the disk is full they wait, and come late."""
        commits, dealt = self._path.commits, 0
        while dealt < PORTION and not (commits.low_space or commits.stalled):
            event: Fired | None = self._path.execute(commands.Fire())
            if event is None:
                break
            dealt += 1
            self._tell_cancelled(event.schedule)
        if dealt:
            self._offer()
        return dealt

    def _tell_cancelled(self, schedule: str) -> None:
        plan = self._state.schedules[schedule].plan
        if plan.overlap == "cancel_running":
            jobs = self._state.jobs
            runs = self._state.runs.get(schedule, ())
            self._work.cancel([one for one in runs if jobs[one].cancelling])

    # --- clients ----------------------------------------------------------------------------

    def grow(self, command: Growing, respond: Respond) -> None:
        """Make a schedule, or jobs of one: not while the disk is full."""
        if self._path.commits.low_space:
            self._path.refuse(respond, StorageFull(self._location))
        else:
            self._carry_out(command, respond)

    def one(self, schedule: str, respond: Respond) -> None:
        """Answers with the `ScheduleView`, its payload included."""
        now = self._path.clock.now()
        found = view(self._state, find(self._state, schedule), now, whole=True)
        self._path.answer(respond, found)

    def page(self, after: str, limit: int) -> SchedulePage:
        """Schedules by their ids, those after one of them, their payloads left out."""
        return page(self._state, after, limit, self._path.clock.now())
