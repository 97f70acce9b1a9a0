"""Pools as the queue sees them: what each is told of the work, and what it says of its workers.

All of this is forgotten with the process; the next look of a pool brings it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from taskqueue_ray.core import commands
from taskqueue_ray.core.demand import (
    Demand,
    LookReply,
    LookRequest,
    PoolLook,
    PoolStatus,
    count,
    has_work,
)
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import WorkerInfo, WorkerView
from taskqueue_ray.core.pool import PLAIN
from taskqueue_ray.core.shape import Shape
from taskqueue_ray.core.staffing import Post
from taskqueue_ray.engine.fleet import Respond, hold
from taskqueue_ray.engine.insights import Insights
from taskqueue_ray.engine.work import Work

MOST_SHAPES = 10_000
SEEN_FOR = 30.0
"""Seconds for which what a pool said of itself is believed."""


@dataclass(slots=True)
class _Seen:
    look: PoolLook
    at: float


@dataclass(slots=True)
class _Waiting:
    """A look that is held until one of its hungry pools has work."""

    request: LookRequest
    deadline: float
    respond: Respond
    pools: int


@dataclass
class Pools:
    """Answers the looks of pools."""

    work: Work
    insights: Insights
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _waiting: list[_Waiting] = field(default_factory=list)
    _shapes: dict[str, Shape] = field(default_factory=lambda: {"": PLAIN})
    """Those that were asked for, by their texts."""
    _changes: int = 0

    def __post_init__(self) -> None:
        self.path = self.work.path

    def control(self, command: commands.SetPool | commands.DeletePool, respond: Respond) -> None:
        """Set or delete a pool. Whoever carries it out hears of it at the next tick."""
        before = set(self.path.state.pools)
        try:
            reply = self.path.execute(command)
        except TaskQueueError as refusal:
            self.path.refuse(respond, refusal)
            return
        self._changes += 1
        for name in before ^ self.path.state.pools.keys():
            self._seen.pop(name, None)  # it was said of another pool of that name
        self.path.commits.flush()
        self.path.answer(respond, reply)

    def look(self, request: LookRequest, respond: Respond) -> None:
        """A pool, or all stored ones, look: answered at once, or when there is something to do."""
        now = self.path.clock.now()
        for one in request.looks:
            self._seen[one.pool] = _Seen(one, now)
        waiting = _Waiting(request, now + hold(request.wait), respond, self._changes)
        if self._is_news(waiting, now):
            self._answer(waiting, now)
        else:
            self._waiting.append(waiting)

    def tick(self, now: float) -> None:
        """Answer the looks that have waited for long enough, or for something that is there now."""
        if self._waiting:
            due = [one for one in self._waiting if self._is_news(one, now)]
            self._waiting = [one for one in self._waiting if one not in due]
            for one in due:
                self._answer(one, now)
        for name in [n for n, one in self._seen.items() if now - one.at > SEEN_FOR]:
            del self._seen[name]

    def close(self, error: TaskQueueError) -> None:
        """End held looks with an error."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.respond(error)

    def retire(self, ids: list[str]) -> list[str]:
        """Tell those of these workers to leave that have nothing in hand, and get nothing more."""
        held, workers = self.path.state.held, self.path.fleet.workers
        idle = [one for one in ids if one in workers and not held.get(one)]
        for one in idle:
            self.work.drain(one)
        self.path.commits.flush()
        return idle

    def are_stored(self) -> bool:
        """Whether anybody has to look after stored pools, or after workers of deleted ones."""
        pools = self.path.state.pools.values()
        if any(not pool.suspended for pool in pools):
            return True
        infos = (session.info for session in self.path.fleet.workers.values())
        return any(info is not None and _is_stored(info.pool) for info in infos)

    def statuses(self) -> list[PoolStatus]:
        """Every pool: those that are stored, and those of programs that look now."""
        now = self.path.clock.now()
        found = []
        for name, pool in self.path.state.pools.items():
            seen = self._seen.get(name)
            staff, ago = (seen.look.staff, max(0.0, now - seen.at)) if seen else ([], None)
            found.append(PoolStatus(name, pool.queues, pool, staff, ago))
        for name, seen in self._seen.items():
            if name not in self.path.state.pools:
                ago = max(0.0, now - seen.at)
                found.append(PoolStatus(name, seen.look.queues, None, seen.look.staff, ago))
        return found

    def posts(self) -> list[Post]:
        """For `why`: which pools serve which queues, and how that goes."""
        return [Post(name, one.look.queues, one.look.staff) for name, one in self._seen.items()] + [
            Post(name, pool.queues, [])
            for name, pool in self.path.state.pools.items()
            if name not in self._seen and not pool.suspended
        ]

    # --- inside ---------------------------------------------------------------------------------

    def _is_news(self, one: _Waiting, now: float) -> bool:
        if one.deadline <= now or one.pools != self._changes:
            return True
        ready = self.path.state.ready
        return any(look.hungry and has_work(ready, look.queues, now) for look in one.request.looks)

    def _answer(self, one: _Waiting, now: float) -> None:
        request = one.request
        stored = list(self.path.state.pools.values()) if request.detached else []
        queues = {look.pool: look.queues for look in request.looks}
        queues.update((pool.name, pool.queues) for pool in stored)
        views = [view for view in self.insights.workers(now) if self._is_of(view, request)]
        demand = {name: self._demand(name, its, views, now) for name, its in queues.items()}
        self.path.answer(one.respond, LookReply(demand, views, stored))

    def _is_of(self, view: WorkerView, request: LookRequest) -> bool:
        if any(view.info.pool == look.pool for look in request.looks):
            return True
        return request.detached and _is_stored(view.info.pool)

    def _demand(
        self, name: str, queues: tuple[str, ...], views: Sequence[WorkerView], now: float
    ) -> list[Demand]:
        workers: list[WorkerInfo] = [v.info for v in views if v.info.pool == name]
        found = count(self.path.state.ready, queues, workers, now)
        if len(self._shapes) > MOST_SHAPES:
            self._shapes = {"": PLAIN}
        self._shapes.update((text, one.shape) for text, one in found.items())
        idle = {worker.shape for worker in workers} - found.keys()
        found.update((text, Demand(self._shapes[text])) for text in idle if text in self._shapes)
        done = self.path.fleet.done
        result = []
        for text, one in found.items():
            ended, seconds = done.get((name, text), (0, 0.0))
            result.append(Demand(one.shape, one.waiting, one.oldest, ended, seconds))
        return result


def _is_stored(pool: str) -> bool:
    """Whether a worker's pool is a stored one; those of programs have a colon in their names."""
    return bool(pool) and ":" not in pool
