"""The workers of one pool: started, adopted, watched, drained, ended. One look after another.

Nothing here waits for Ray or for a worker: what was asked is looked at again with the next look.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import ray
from ray.exceptions import ActorUnavailableError, RayError

from taskqueue_ray.cluster import recruiting
from taskqueue_ray.cluster.admission import ask_leave, give_up, refusal_of
from taskqueue_ray.cluster.config import LEFT
from taskqueue_ray.cluster.departures import Departures
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.ray_edge import ending_of
from taskqueue_ray.core.admission import WorkersAdmitted, WorkersWanted
from taskqueue_ray.core.demand import Demand, PoolLook, Staff
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.exchange import WorkerView
from taskqueue_ray.core.placement import Spot
from taskqueue_ray.core.pool import PLAIN, Pool, executors_of
from taskqueue_ray.core.scaling import Condition, Member, Scaler
from taskqueue_ray.core.shape import Shape

log = logging.getLogger(__name__)

Names = Callable[[Shape, int], list[str]]
"""Gives free names for the next so many workers of a shape."""

ABSENT = 30
"""Looks without a sign of a worker that is to leave, after which it is ended."""

UNHEARD = 10
"""Looks without a sign of one that was at work, after which another takes its place: its process
may be gone without Ray noticing, its node be cut off or fenced.
"""

UNKNOWN = "?"
"""The shape of a worker that has not said it yet, and whose name does not tell it."""


@dataclass(slots=True)
class Hand:
    """A worker of this pool. `question` is a call for what hinders it, `leave` one for its end.

    `has_left`: it has ended its work by itself, or its actor is no more.
    """

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
    has_left: bool = False
    view: WorkerView | None = None


class Crew:
    """Keeps the workers of a pool as its policy wants them.

    `owner` is what the workers call their pool towards the queue, which is asked before any of
    them starts: it keeps the quotas, and says on which node each is to be.
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
        self._departures = Departures()
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
            self._departures.watch(name, actor)
            log.info("pool %s: adopted %s", self.owner, name)

    def tick(self, demands: Sequence[Demand], views: Iterable[WorkerView], now: float) -> None:
        """One look: take note, plan, and carry out."""
        seen = {view.info.actor: view for view in views if view.info.pool == self.owner}
        self._nodes = None
        self._has_work = any(one.waiting for one in demands)
        self._shapes.update((one.shape.text, one.shape) for one in demands)
        for name in self._departures.left():
            self.hands[name].has_left = True
        for hand in list(self.hands.values()):
            self._watch(hand, seen.get(hand.name), now)
        members = [self._member(hand) for hand in self.hands.values()]
        plan = self.scaler.plan(demands, members, now)
        is_closed = self._start(plan.start, now)
        self._let_go(plan.retire if is_closed else [*plan.retire, *plan.move])
        for name in plan.drain:
            self.drain(name)
        members = [self._member(hand) for hand in self.hands.values()]
        self._staff = [self._noted(row) for row in self.scaler.staff(plan.wanted, members, now)]

    def start(self, shape: Shape, count: int) -> WorkersAdmitted:
        """Start so many more workers, or as many of them as the queue gives leave for.

        Raises what Ray says against it.
        """
        names = self._names(shape, count)
        answer = ask_leave(self._queue, self._wanted(shape, names))
        let_in = list(zip(names, answer.spots, strict=False))
        for name, spot in let_in:
            try:
                self._begin(name, shape, spot)
            except BaseException:
                give_up(self._queue, [one for one, _ in let_in if one not in self.hands])
                raise
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
        self._departures.forget(name)
        if hand is None or not ray.is_initialized():
            return
        recruiting.end(hand.actor)
        if not hand.was_ready:
            give_up(self._queue, [name])

    # --- inside ---------------------------------------------------------------------------------

    def _start(self, wanted: Sequence[tuple[Shape, int]], now: float) -> bool:
        """True when no worker may start anywhere, since no node is open for one."""
        before, self._refused = self._refused, {}
        is_closed = False
        if not wanted and (coming := self._coming()):
            # They are on their way still, and count as long as it is said so.
            ask_leave(self._queue, WorkersWanted(self.owner, self.pool.queues, [], starting=coming))
        for shape, count in wanted:
            known = set(self.hands)
            try:
                answer = self.start(shape, count)
            except (RayError, ValueError, TypeError) as error:
                self._fail(shape.text, f"{type(error).__name__}: {error}", now)
                continue
            for name in [name for name in self.hands if name not in known]:
                log.info("pool %s: starting %s (%s)", self.owner, name, shape.text or "plain")
                self._judge(self.hands[name])
            if words := refusal_of(answer):
                self._refused[shape.text] = words
                if words != before.get(shape.text):
                    log.warning("pool %s: no further worker may start: %s", self.owner, words)
            is_closed = is_closed or answer.is_closed
        return is_closed

    def _begin(self, name: str, shape: Shape, spot: Spot) -> None:
        config = recruiting.config_of(self.pool, shape, self._queue.name, name, self.owner)
        actor = recruiting.start(config, shape, spot, detached=self._detached)
        self._shapes[shape.text] = shape
        self.hands[name] = Hand(name, shape.text, actor, recruiting.brand(self.pool, shape))
        self._departures.watch(name, actor)

    def _wanted(self, shape: Shape, names: list[str]) -> WorkersWanted:
        return WorkersWanted(
            f"{self.owner} {shape.text}",
            self.pool.queues,
            names,
            recruiting.holds(self.pool, shape),
            recruiting.needs(shape, executors_of(shape, self.pool.concurrency)),
            self._coming(),
            shape.label_selector,
        )

    def _coming(self) -> list[str]:
        return [name for name, hand in self.hands.items() if not hand.was_ready]

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
            hand.question, hand.impossible, hand.absent = None, False, 0
            if not hand.was_ready:
                hand.was_ready = True
                self.scaler.came_up(hand.shape)
            if view.draining:
                self.drain(hand.name)  # somebody else asked for it
        elif hand.was_ready and hand.has_left:
            log.info("pool %s: %s has left by itself", self.owner, hand.name)
            self.remove(hand.name)
        else:
            self._inquire(hand, now)

    def _inquire(self, hand: Hand, now: float) -> None:
        """It is not with the queue (yet): ask, without waiting, what hinders it."""
        hand.absent += hand.was_ready
        if hand.absent > UNHEARD:
            log.warning("pool %s: nothing is heard of %s any more", self.owner, hand.name)
            self.remove(hand.name)
            return
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
        if problem and problem != LEFT:
            self._fail(hand.shape, problem, now)
        if problem or hand.has_left:
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

    def _retire(self, ids: list[str]) -> list[str]:
        """Those of these workers that the queue lets go, since they have nothing in hand."""
        return decode(self._queue.call("retire", encode(ids)), list[str])

    def _member(self, hand: Hand) -> Member:
        condition: Condition = "starting" if hand.view is None else "ready"
        if hand.leave is not None:
            condition = "draining"
        jobs = 0 if hand.view is None else hand.view.held
        barred = hand.view is not None and hand.view.barred
        current = self._is_current(hand)
        return Member(hand.name, hand.shape, condition, jobs, hand.impossible, current, barred)

    def _is_current(self, hand: Hand) -> bool:
        shape = self._shapes.get(hand.shape)
        return not hand.brand or shape is None or hand.brand == recruiting.brand(self.pool, shape)

    def _noted(self, row: Staff) -> Staff:
        return msgspec.structs.replace(row, refused=self._refused.get(row.shape, ""))
