"""The workers of one pool: started, adopted, watched, drained, ended. One look after another.

Nothing here waits for Ray or for a worker: what was asked is looked at again with the next look.
"""

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import ray
from ray.exceptions import ActorUnavailableError, RayError

from taskqueue_ray.cluster import recruiting
from taskqueue_ray.cluster.admission import Leave
from taskqueue_ray.cluster.config import LEFT
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.ray_edge import ending_of
from taskqueue_ray.core.admission import WorkersAdmitted
from taskqueue_ray.core.demand import Demand, PoolLook, Staff
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.exchange import WorkerView
from taskqueue_ray.core.pool import PLAIN, Pool, executors_of
from taskqueue_ray.core.scaling import Condition, Member, Scaler
from taskqueue_ray.core.shape import Shape

log = logging.getLogger(__name__)

Names = Callable[[Shape, Container[str]], str]
"""Gives a name for the next worker of a shape, none of those that are taken."""


ABSENT = 30
"""Looks without a sign of a worker that is to leave, after which it is ended."""

UNKNOWN = "?"
"""The shape of a worker that has not said it yet, and whose name does not tell it."""


@dataclass(slots=True)
class Hand:
    """A worker of this pool. `question` is a call for what hinders it, `leave` one for its end."""

    name: str
    shape: str
    actor: Any
    brand: str = ""
    was_ready: bool = False
    was_adopted: bool = False
    absent: int = 0
    question: Any = None
    leave: Any = None
    impossible: bool = False
    view: WorkerView | None = None

    @property
    def is_starting(self) -> bool:
        """Whether it was asked for and has not been seen yet."""
        return self.view is None and not self.was_ready and self.leave is None

    @property
    def is_idly_barred(self) -> bool:
        """Whether its node gets no jobs, and it has none left."""
        view = self.view
        return self.leave is None and view is not None and view.barred and not view.held


class Crew:
    """Keeps the workers of a pool as its policy wants them.

    `owner` is what the workers call their pool towards the queue, which says whether, and where,
    one may start, and which of those that are not needed it lets go.
    """

    def __init__(
        self,
        pool: Pool,
        owner: str,
        queue: QueueHandle,
        names: Names,
        *,
        detached: bool,
    ) -> None:
        self.owner = owner
        self.hands: dict[str, Hand] = {}
        self.scaler = Scaler(pool)
        self._queue = queue
        self._names = names
        self._detached = detached
        self._leaves: dict[str, Leave] = {}
        self._is_closed = False
        self._refused: dict[str, str] = {}
        self._staff: list[Staff] = []
        self._shapes: dict[str, Shape] = {"": PLAIN}
        self._nodes: list[Mapping[str, Any]] | None = None
        self._has_work = False

    @property
    def pool(self) -> Pool:
        """The pool as it is now."""
        return self.scaler.pool

    def change(self, pool: Pool) -> None:
        """The pool was set anew: what was learnt of its jobs is kept."""
        self.scaler.pool = pool

    def look(self) -> PoolLook:
        """What this pool says of itself when it looks at the queue."""
        busy = self.hands or self._has_work or self.scaler.troubles
        hungry = not busy and not self.pool.suspended and not self.pool.minimum
        return PoolLook(self.owner, self.pool.queues, self._staff, hungry, self.pool.maximum)

    def adopt(self, name: str, brand: str, actor: Any) -> None:
        """Take over a worker that somebody else started for this pool."""
        if name not in self.hands:
            known = {recruiting.brand(self.pool, one): text for text, one in self._shapes.items()}
            # The shape of one that is just starting may be unknown: it will say so itself.
            self.hands[name] = Hand(name, known.get(brand, UNKNOWN), actor, brand, was_adopted=True)
            log.info("pool %s: adopted %s", self.owner, name)

    def tick(self, demands: Sequence[Demand], views: Iterable[WorkerView], now: float) -> None:
        """One look: take note, plan, and carry out."""
        seen = {view.info.actor: view for view in views if view.info.pool == self.owner}
        self._nodes = None
        self._has_work = any(one.waiting for one in demands)
        self._shapes.update((one.shape.text, one.shape) for one in demands)
        for hand in list(self.hands.values()):
            self._watch(hand, seen.get(hand.name), now)
        members = [self._member(hand) for hand in self.hands.values()]
        plan = self.scaler.plan(demands, members, now)
        self._refused.clear()
        self._is_closed = False
        wanted = {shape.text: count for shape, count in plan.start}
        for text in (*wanted, *(one for one in self._starting() if one not in wanted)):
            self._start(self._shapes[text], wanted.get(text, 0), now)
        barred = (
            [] if self._is_closed else [h.name for h in self.hands.values() if h.is_idly_barred]
        )
        self._let_go([*plan.retire, *(one for one in barred if one not in plan.retire)])
        for name in plan.drain:
            self.drain(name)
        members = [self._member(hand) for hand in self.hands.values()]
        self._staff = [self._noted(row) for row in self.scaler.staff(plan.wanted, members, now)]

    def start(self, shape: Shape, count: int) -> WorkersAdmitted:
        """Ask Ray for so many more workers, or as many as the queue allows; its answer.

        Raises what Ray says against one.
        """
        self._shapes[shape.text] = shape
        names: list[str] = []
        for _ in range(count):
            names.append(self._names(shape, {*self.hands, *names}))
        leave = self._leave(shape)
        answer = leave.ask(names, self._starting().get(shape.text, ()))
        for number, (name, spot) in enumerate(zip(names, answer.spots, strict=False)):
            config = recruiting.config_of(self.pool, shape, self._queue.name, name, self.owner)
            try:
                actor = recruiting.start(config, shape, spot, detached=self._detached)
            except BaseException:
                leave.give_up(names[number:])
                raise
            self.hands[name] = Hand(name, shape.text, actor, recruiting.brand(self.pool, shape))
            log.info("pool %s: starting %s (%s)", self.owner, name, shape.text or "plain")
        return answer

    def drain(self, name: str, seconds: float = recruiting.DRAIN) -> None:
        """Let a worker finish what it runs, take nothing more, and end."""
        hand = self.hands[name]
        if hand.leave is not None:
            return
        if hand.view is None and not (hand.was_ready or hand.was_adopted):
            self.remove(name)  # it has not come up, and may never do
            return
        hand.leave = hand.actor.drain.remote(seconds)

    def remove(self, name: str) -> None:
        """End a worker at once."""
        hand = self.hands.pop(name, None)
        if hand is None or not ray.is_initialized():
            return
        recruiting.end(hand.actor)
        if hand.is_starting and (shape := self._shapes.get(hand.shape)) is not None:
            self._leave(shape).give_up([name])

    # --- inside ---------------------------------------------------------------------------------

    def _start(self, shape: Shape, count: int, now: float) -> None:
        """Start so many, and say which are still on their way: what they take is kept for them."""
        before = set(self.hands)
        try:
            answer = self.start(shape, count)
        except (RayError, ValueError, TypeError) as error:
            self._fail(shape.text, f"{type(error).__name__}: {error}", now)
        else:
            self._is_closed |= answer.is_closed
            if len(answer.spots) < count:
                self._refused[shape.text] = answer.words
        for name in self.hands.keys() - before:
            self._judge(self.hands[name])

    def _starting(self) -> dict[str, list[str]]:
        """Who has been asked for and is not up yet, by shape."""
        found: dict[str, list[str]] = {}
        for hand in self.hands.values():
            if hand.is_starting and hand.shape in self._shapes:
                found.setdefault(hand.shape, []).append(hand.name)
        return found

    def _leave(self, shape: Shape) -> Leave:
        """Who asks the queue for workers of this shape, as they are now."""
        pool, mark = self.pool, recruiting.brand(self.pool, shape)
        if mark not in self._leaves:
            needs = recruiting.needs_of(shape, executors_of(shape, pool.concurrency))
            holds = recruiting.holds_of(pool, shape)
            starter = f"{self.owner}:{mark}"
            self._leaves[mark] = Leave(self._queue, pool.queues, holds, needs, starter)
        return self._leaves[mark]

    def _retire(self, ids: list[str]) -> list[str]:
        return decode(self._queue.call("retire", encode(ids)), list[str])

    def _judge(self, hand: Hand) -> None:
        """Say it when no node can hold the worker. It stays asked for: nodes may be added."""
        shape = self._shapes.get(hand.shape)
        if shape is None:
            return
        before = hand.impossible
        executors = executors_of(shape, self.pool.concurrency)
        if self._nodes is None:
            self._nodes = recruiting.nodes()
        hand.impossible = not recruiting.is_possible(shape, executors, self._nodes)
        if hand.impossible and not before:
            log.warning(
                "pool %s: no node of this cluster can hold a worker with %s; jobs that need one "
                "wait, others go on", self.owner, hand.shape or "what it needs",
            )  # fmt: skip

    def _watch(self, hand: Hand, view: WorkerView | None, now: float) -> None:
        hand.view = view
        if view is not None:
            hand.shape = view.info.shape
        if hand.leave is not None:
            self._see_off(hand)
        elif view is not None:
            hand.question, hand.impossible = None, False
            if not hand.was_ready:
                hand.was_ready = True
                self.scaler.came_up(hand.shape)
            if view.draining:
                self.drain(hand.name)  # somebody else asked for it
        else:
            self._inquire(hand, now)

    def _inquire(self, hand: Hand, now: float) -> None:
        """It is not with the queue (yet): ask, without waiting, what hinders it."""
        if hand.question is None:
            hand.question = hand.actor.problem.remote()
        done, _ = ray.wait([hand.question], timeout=0)
        if not done:
            self._judge(hand)
            return
        question, hand.question = hand.question, None
        try:
            problem = ray.get(question)
        except ActorUnavailableError:
            return
        except Exception as error:
            # Whatever Ray raises for a worker that did not come up, or that has gone for good.
            problem = ending_of(error).words
            if hand.was_ready:
                log.warning("pool %s: worker %s has gone: %s", self.owner, hand.name, problem)
                self.remove(hand.name)
                return
        if problem == LEFT:
            # Somebody else let it go, and it was off before a look could see it draining.
            log.info("pool %s: %s has left", self.owner, hand.name)
            self.remove(hand.name)
        elif problem:
            self._fail(hand.shape, problem, now)
            self.remove(hand.name)

    def _fail(self, shape: str, problem: str, now: float) -> None:
        trouble = self.scaler.failed(shape, problem, now)
        log.error(
            "pool %s: a worker cannot start (%d times in a row, next try in %.0f s): %s",
            self.owner, trouble.failures, trouble.retry_at - now, problem,
        )  # fmt: skip

    def _see_off(self, hand: Hand) -> None:
        done, _ = ray.wait([hand.leave], timeout=0)
        hand.absent = hand.absent + 1 if hand.view is None else 0
        if not done and hand.absent > ABSENT:
            self.remove(hand.name)  # Ray has never brought it up, it seems
        if done:
            try:
                ray.get(hand.leave)
            except ActorUnavailableError:
                hand.leave = hand.actor.drain.remote(recruiting.DRAIN)  # it was restarted, say
                return
            except RayError as error:
                log.debug("worker %s did not drain: %s", hand.name, error)
            log.info("pool %s: %s has left", self.owner, hand.name)
            self.remove(hand.name)

    def _let_go(self, names: Sequence[str]) -> None:
        """End idle workers, as far as the queue agrees that they are."""
        ids = {hand.view.info.id: name for name in names if (hand := self.hands[name]).view}
        gone = self._retire(list(ids)) if ids else []
        for name in [ids[one] for one in gone if one in ids]:
            self.drain(name)
        for name in names:
            if self.hands[name].view is None:
                self.remove(name)  # it has not come up, and nobody needs it

    def _member(self, hand: Hand) -> Member:
        condition: Condition = "starting" if hand.view is None else "ready"
        if hand.leave is not None or (hand.view is not None and hand.view.barred):
            condition = "draining"
        jobs = 0 if hand.view is None else hand.view.held
        return Member(
            hand.name, hand.shape, condition, jobs, hand.impossible, self._is_current(hand)
        )

    def _is_current(self, hand: Hand) -> bool:
        shape = self._shapes.get(hand.shape)
        return not hand.brand or shape is None or hand.brand == recruiting.brand(self.pool, shape)

    def _noted(self, row: Staff) -> Staff:
        return msgspec.structs.replace(row, refused=self._refused.get(row.shape, ""))
