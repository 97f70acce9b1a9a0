"""An engine whose commits happen when the test says so, and whose clock stands still."""

from collections.abc import Callable
from typing import Any

from taskqueue_ray.core.bounds import DEFAULT_BOUNDS, Bounds
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import (
    Outcome,
    Save,
    WatchReply,
    WatchRequest,
    WorkerInfo,
    WorkReply,
    WorkRequest,
)
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId, JobSpec, Options
from taskqueue_ray.core.state import State
from taskqueue_ray.engine.commits import Committed
from taskqueue_ray.engine.engine import Engine, Ports
from taskqueue_ray.engine.folding import FoldPolicy
from taskqueue_ray.storage.blobs import BlobFiles
from taskqueue_ray.storage.publication import FoldRequest, FoldResult
from taskqueue_ray.storage.recovery import SealedSegment
from tests.ledger import replayed
from tests.records import START, raw_batch, worker

Result = Committed | TaskQueueError
NEVER = FoldPolicy(rows=1 << 40, commits=1 << 40, age=1e12)


class Box:
    """Takes the answer to one call."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def __call__(self, answer: Any) -> None:
        self.answers.append(answer)

    @property
    def empty(self) -> bool:
        return not self.answers

    @property
    def answer(self) -> Any:
        """The one answer that came."""
        assert len(self.answers) == 1, self.answers
        return self.answers[0]


class HeldWriter:
    """A disk that does one commit at a time, each when the test calls `commit`."""

    def __init__(self) -> None:
        self.held: list[tuple[bytes, bool, Callable[[Result], None]]] = []
        self.durable: list[bytes] = []
        self.refusals: list[bytes] = []
        self.at_once = False
        self.low_space = False
        self.can_seal = True

    def submit(self, payload: bytes, seal: bool, done: Callable[[Result], None]) -> None:
        assert not self.held, "one commit at a time"
        self.held.append((payload, seal, done))
        if self.at_once:
            self.commit()

    def commit(self) -> None:
        """The commit that is in flight becomes durable."""
        payload, seal, done = self.held.pop()
        self.durable.append(payload)
        number = len(self.durable)
        sealed = SealedSegment(number, 1, 100, 0, 1, number + 1) if seal and self.can_seal else None
        done(Committed(sealed, self.low_space))

    def fail(self, error: TaskQueueError) -> None:
        payload, _, done = self.held.pop()
        self.refusals.append(payload)
        done(error)

    def settle(self) -> None:
        while self.held:
            self.commit()


class StandingClock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        return self.at


class Trial:
    """An engine on a held disk. Its helpers make calls and let the disk follow at once."""

    def __init__(
        self,
        state: State | None = None,
        *,
        bounds: Bounds = DEFAULT_BOUNDS,
        policy: FoldPolicy = NEVER,
        blobs: BlobFiles | None = None,
    ) -> None:
        self.clock = StandingClock()
        self.writer = HeldWriter()
        self.folds: list[tuple[FoldRequest, Callable[[FoldResult | TaskQueueError], None]]] = []
        self.asked: list[tuple[list[JobId], Callable[[Any], None]]] = []
        self.broken: list[TaskQueueError] = []
        self.engine = Engine(
            state or State(),
            Ports(
                self.writer,
                lambda request, done: self.folds.append((request, done)),
                lambda ids, found: self.asked.append((ids, found)),
                self.broken.append,
                blobs,
            ),
            self.clock,
            1,
            chance=lambda: 0.5,
            fold_policy=policy,
            bounds=bounds,
        )
        self.engine.open(1)
        self.writer.settle()

    @property
    def state(self) -> State:
        return self.engine.state

    def replayed(self) -> State:
        """What a restart would find."""
        return replayed(self.writer.durable)

    def enqueue(self, *jobs: JobSpec, shared: Options | None = None) -> Box:
        box = Box()
        self.engine.enqueue(raw_batch(jobs, *([shared] if shared else [])), box)
        return box

    def enqueued(self, *jobs: JobSpec, shared: Options | None = None) -> Any:
        """Enqueue, with the disk following."""
        box = self.enqueue(*jobs, shared=shared)
        self.writer.settle()
        return box.answer

    def command(self, kind: Any, command_id: str, *ids: JobId) -> Box:
        box = Box()
        self.engine.command(kind(list(ids)), command_id, box)
        return box

    def watch(
        self, sequence: int, *ids: JobId, reset: bool = False, wait: float = 0.0, client: str = "c"
    ) -> Box:
        box = Box()
        self.engine.watch(WatchRequest(client, sequence, list(ids), reset, wait), box)
        return box

    def watched(self, sequence: int, *ids: JobId, **given: Any) -> list[tuple[JobId, JobState]]:
        box = self.watch(sequence, *ids, **given)
        self.writer.settle()
        assert isinstance(box.answer, WatchReply)
        return [(one.id, one.state) for one in box.answer.ended if one.state is not None]

    def pass_time(self, seconds: float) -> list[str]:
        self.clock.at += seconds
        late = self.engine.tick()
        self.writer.settle()
        return late


class Hand:
    """A worker of a trial: it numbers its exchanges and holds what it was given."""

    def __init__(self, trial: Trial, name: str = "w", info: WorkerInfo | None = None) -> None:
        self.trial = trial
        self.info = info or worker(name)
        self.sequence = 0
        self.acked = 0
        self.held: list[JobId] = []
        box = Box()
        trial.engine.register(self.info, box)
        trial.writer.settle()
        assert box.answer == []

    def request(self, *outcomes: Outcome, want: int = 0, wait: float = 0.0, **given: Any) -> Box:
        """The next exchange."""
        self.sequence += 1
        return self.repeat(self.sequence, *outcomes, want=want, wait=wait, **given)

    def repeat(
        self,
        sequence: int,
        *outcomes: Outcome,
        want: int = 0,
        wait: float = 0.0,
        running: list[JobId] | None = None,
        held: list[JobId] | None = None,
        acked: int | None = None,
        leaving: bool = False,
        saves: list[Save] | None = None,
        rooms: dict[str, int] | None = None,
        full: list[str] | None = None,
    ) -> Box:
        box = Box()
        request = WorkRequest(
            self.info.id,
            sequence,
            self.acked if acked is None else acked,
            list(outcomes),
            self.held if held is None else held,
            running or [],
            want,
            wait,
            leaving=leaving,
            saves=saves or [],
            rooms=rooms or {},
            full=full or [],
        )
        self.trial.engine.work(request, box)
        return box

    def take(self, box: Box) -> WorkReply:
        """Read a reply as a worker does: it is acknowledged, and its jobs are held."""
        reply = box.answer
        assert isinstance(reply, WorkReply), reply
        self.acked = max(self.acked, reply.sequence)
        self.held = self.held + [grant.id for grant in reply.grants]
        return reply

    def exchange(self, *outcomes: Outcome, **given: Any) -> WorkReply:
        """One exchange, with the disk following."""
        done = {outcome.id for outcome in outcomes}
        self.held = [one for one in self.held if one not in done]
        box = self.request(*outcomes, **given)
        self.trial.writer.settle()
        return self.take(box)
