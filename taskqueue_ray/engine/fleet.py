"""Who is connected now: workers, clients and what they wait for.

Nothing here is a fact of the queue. It is rebuilt after a restart, when every lease gets a full
fresh term.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import Ended, Outcome, Progress, WorkerInfo, WorkReply
from taskqueue_ray.core.metering import Vitals
from taskqueue_ray.core.model import JobId

CLIENT_TERM = 120.0
"""Seconds after which a client that no longer polls is forgotten."""

LONGEST_HOLD = 60.0
MOST_WANTED = 10_000
"""What a caller may ask for at most: seconds for which its call is held, and jobs at once."""

SAMPLE = 16
"""Outcomes of one exchange whose run times are added up; the others are taken to be like them."""

MOST_TALLIES = 10_000

Respond = Callable[[Any], None]
"""Takes one reply, or a `TaskQueueError`, and is called once."""


def hold(wait: float) -> float:
    """The seconds for which a call that asks for `wait` may be held; none for what is no time."""
    return min(wait, LONGEST_HOLD) if wait > 0 else 0.0


@dataclass(slots=True)
class Poll:
    """A call that is held until there is something to say."""

    sequence: int
    deadline: float
    respond: Respond


@dataclass(slots=True)
class WorkerSession:
    """A worker that has registered, or one whose leases were found at the opening."""

    info: WorkerInfo | None
    deadline: float
    seen: float
    latest: int = -1
    replies: dict[int, WorkReply] = field(default_factory=dict)
    poll: Poll | None = None
    want: int = 0
    rooms: dict[str, int] = field(default_factory=dict)
    """How many jobs it wants beside those, by kind of executor in Ray."""
    full: tuple[str, ...] = ()
    lost: list[JobId] = field(default_factory=list)
    stale: list[JobId] = field(default_factory=list)
    cancel: dict[JobId, float] = field(default_factory=dict)
    """Running jobs to stop, and when to say so next."""
    draining: bool = False
    drain_due: float = 0.0
    leaving: bool = False
    drain_seconds: float = 0.0
    drain_by: float = 0.0
    """When a drain is to be over; infinite if nobody has said."""
    barred: bool = False
    """Its node gets no jobs."""
    memory: tuple[int, int] = (0, 0)
    """What is used of its node's memory, and what that has."""
    vitals: Vitals = field(default_factory=Vitals)
    grown: dict[str, int] = field(default_factory=dict)
    """Job types for whose memory executors were replaced, and by how many bytes one had grown."""

    def in_flight(self) -> set[JobId]:
        """Jobs granted in replies that the worker has not confirmed yet."""
        return {grant.id for reply in self.replies.values() for grant in reply.grants}


@dataclass(slots=True)
class ClientSession:
    """A client that waits for jobs to end."""

    deadline: float
    watched: set[JobId] = field(default_factory=set)
    ended: list[Ended] = field(default_factory=list)
    latest: int = -1
    poll: Poll | None = None


@dataclass(slots=True)
class Fleet:
    """All sessions, and the progress of running jobs."""

    workers: dict[str, WorkerSession] = field(default_factory=dict)
    clients: dict[str, ClientSession] = field(default_factory=dict)
    progress: dict[JobId, Progress] = field(default_factory=dict)
    schedulers: dict[str, Poll] = field(default_factory=dict)
    done: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """Runs that ended, and their run time in seconds, by pool and shape of their workers."""

    def tally(self, info: WorkerInfo, outcomes: list[Outcome]) -> None:
        """Count runs of a pool's worker. A few of many are enough for the run time."""
        count = len(outcomes)
        some = outcomes if count <= SAMPLE else outcomes[:: -(-count // SAMPLE)]
        seconds = sum([one.seconds for one in some]) * count / len(some)
        if len(self.done) > MOST_TALLIES:
            self.done.clear()
        ended, before = self.done.get((info.pool, info.shape), (0, 0.0))
        self.done[info.pool, info.shape] = (ended + count, before + seconds)

    def polls(self) -> list[Poll]:
        """Every held call."""
        held = [worker.poll for worker in self.workers.values()]
        held.extend(client.poll for client in self.clients.values())
        held.extend(self.schedulers.values())
        return [poll for poll in held if poll is not None]


def refuse(polls: list[Poll], error: TaskQueueError) -> None:
    """End held calls with an error."""
    for poll in polls:
        poll.respond(error)
