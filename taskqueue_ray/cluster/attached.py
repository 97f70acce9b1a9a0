"""Attached workers: they belong to the program that asked for them and end with it.

A thread looks at the backlog now and then and keeps their number between its bounds.
"""

import logging
import secrets
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError

from taskqueue_ray.cluster.admission import Leave, options_of
from taskqueue_ray.cluster.asking import ask
from taskqueue_ray.cluster.config import ACTOR_CPUS, NAMESPACE, WorkerConfig, encode
from taskqueue_ray.cluster.departures import Departures
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.worker_actor import WorkerActor
from taskqueue_ray.core.admission import WorkersAdmitted
from taskqueue_ray.core.envelopes import decode
from taskqueue_ray.core.errors import InvalidOption, QueueClosed, TaskQueueError, Unavailable
from taskqueue_ray.core.exchange import QueueStats, WorkerView
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.placement import Spot
from taskqueue_ray.core.quotas import too_large, worker_holds
from taskqueue_ray.core.scaling import desired_workers

LOOK = 1.0
"""Seconds between two looks at the backlog."""

START_PATIENCE = 60.0
ABSENT_LOOKS = 10
"""Looks in a row at which a worker may be unknown to the queue before another takes its place."""

IDLE_LOOKS = 5
"""Looks with too little work in a row before a worker is drained."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many workers there may be."""

    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum or self.maximum < 1:
            given = f"min={self.minimum}, max={self.maximum}"
            raise InvalidOption("workers", given, "0 <= min <= max and max >= 1")


class AttachedWorkers:
    """A group of equal workers. Use `start`, then `drain`; both may be called once."""

    def __init__(self, queue: QueueHandle, config: WorkerConfig, fleet: Fleet) -> None:
        self._queue = queue
        self._config = config
        self._fleet = fleet
        self._actors: dict[str, Any] = {}
        self._holds = worker_holds(config.concurrency, memory_limit=config.memory_limit)
        self._leave = Leave(queue, config.queues, self._holds, {"CPU": ACTOR_CPUS})
        self._departures = Departures()
        self._coming: set[str] = set()
        self._absent: dict[str, int] = {}
        self._surplus_looks = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._supervise, name="taskqueue-workers", daemon=True
        )

    @property
    def names(self) -> list[str]:
        """The Ray names of the workers that run now."""
        return list(self._actors)

    def start(self, timeout: float = START_PATIENCE) -> None:
        """Start the first workers and wait until they are ready.

        Raises `Unavailable` with the reason when one cannot work, `QuotaBelowWorker` when a quota
        is too small for even one. Those that a quota holds back come when it has room.
        """
        if refusal := self._create(self._fleet.minimum).refusal:
            too_large(refusal)
        for actor in list(self._actors.values()):
            self._wait_ready(actor, timeout)
        self._thread.start()

    def drain(self, timeout: float = 30.0) -> bool:
        """Let running jobs end, give back the others, and end the workers. True if all ended."""
        self._halt()
        return self._drain(list(self._actors), timeout)

    def give_back(self, timeout: float = 5.0) -> None:
        """Interrupt what runs: all jobs go back to the queue, no attempt is counted.

        May be called while another thread is in `drain`, which it ends.
        """
        self._halt()
        refs = [actor.drain.remote(0.0) for actor in list(self._actors.values())]
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=timeout)
        for name in list(self._actors):
            self._remove(name)

    def kill(self) -> None:
        """End the workers at once; the queue takes their jobs back."""
        self._halt()
        for name in list(self._actors):
            self._remove(name)

    def tick(self, stats: Iterable[QueueStats], workers: Iterable[WorkerView]) -> int:
        """One look: replace what died, grow and shrink. Returns the number of workers wanted."""
        served = [s for s in stats if not self._config.queues or s.queue in self._config.queues]
        waiting = sum(s.counts[JobState.PENDING] for s in served)
        processing = sum(s.counts[JobState.PROCESSING] for s in served)
        views = {view.info.actor: view for view in workers}
        for name in (*self._departures.left(), *self._vanished(views)):
            self._remove(name)
        self._coming.difference_update(views)
        barred = [name for name in self._actors if name in views and views[name].barred]
        usable = len(self._actors) - len(barred)
        wanted = desired_workers(
            waiting=waiting,
            processing=processing,
            concurrency=self._config.concurrency,
            current=usable,
            minimum=self._fleet.minimum,
            maximum=self._fleet.maximum,
        )
        answer = self._create(wanted - usable)
        if barred and not answer.is_closed:
            # Work goes on elsewhere, and may need what these hold.
            self._shrink(views[name] for name in barred)
        self._surplus_looks = self._surplus_looks + 1 if wanted < usable else 0
        if self._surplus_looks >= IDLE_LOOKS:
            self._surplus_looks = 0
            self._shrink(views.values())
        return wanted

    def _vanished(self, known: Collection[str]) -> list[str]:
        """Those that were up and have been unknown to the queue for long: dead, cut off, fenced."""
        absent = [name for name in self._actors if name not in known and name not in self._coming]
        self._absent = {name: self._absent.get(name, 0) + 1 for name in absent}
        return [name for name, looks in self._absent.items() if looks > ABSENT_LOOKS]

    def _shrink(self, workers: Iterable[WorkerView]) -> None:
        """Drain one worker that has nothing in hand; a busy one is never stopped."""
        idle = {view.info.actor for view in workers if not view.held}
        for name in list(self._actors):
            if name in idle:
                self._drain([name], 30.0)
                return

    def _supervise(self) -> None:
        while not self._stop.wait(LOOK):
            try:
                stats = decode(self._queue.call("stats", b"\xc0"), list[QueueStats])
                workers = decode(self._queue.call("workers", b"\xc0"), list[WorkerView])
                with self._lock:
                    if not self._stop.is_set():
                        self.tick(stats, workers)
            except QueueClosed:
                return
            except (TaskQueueError, RayError) as error:
                log.warning("cannot look after the workers now: %s", error)

    def _halt(self) -> None:
        self._stop.set()
        with self._lock:
            pass  # a look that was going on has ended
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _create(self, count: int) -> WorkersAdmitted:
        """Start so many, or as many of them as the queue allows."""
        if count <= 0 and not self._coming:
            return WorkersAdmitted([])
        names = [f"worker:{secrets.token_hex(4)}" for _ in range(count)]
        answer = self._leave.ask(names, self._coming)
        for name, spot in zip(names, answer.spots, strict=False):
            self._start(name, spot)
        return answer

    def _start(self, name: str, spot: Spot) -> None:
        config = msgspec.structs.replace(self._config, name=name, holds=self._holds)
        actor = self._actors[name] = (
            ray.remote(WorkerActor)
            .options(
                name=name,
                namespace=NAMESPACE,
                max_restarts=-1,
                max_concurrency=1000,  # executors on other machines hold calls
                num_cpus=ACTOR_CPUS,
                enable_task_events=False,
                **options_of(spot),
            )
            .remote(encode(config))
        )
        self._coming.add(name)
        self._departures.watch(name, actor)

    def _wait_ready(self, actor: Any, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            worker = ask(actor.incarnation.remote, timeout)
            while time.monotonic() < deadline:
                if problem := ask(actor.problem.remote, timeout):
                    raise Unavailable(f"a worker cannot start: {problem}")
                views = decode(self._queue.call("workers", b"\xc0"), list[WorkerView])
                if any(view.info.id == worker for view in views):
                    return
                time.sleep(0.02)
        except RayError as error:
            raise Unavailable(f"a worker cannot start: {error}") from error
        raise Unavailable(f"a worker was not ready within {timeout:g} s")

    def _drain(self, names: list[str], timeout: float) -> bool:
        asked = {name: partial(self._actors[name].drain.remote, timeout) for name in names}
        sent = {name: drain() for name, drain in asked.items()}
        finished = True
        for name, drain in asked.items():
            try:
                finished &= bool(ask(drain, timeout + 10.0, sent=sent[name]))
            except RayError as error:
                log.warning("worker %s did not drain: %s", name, error)
                finished = False
            self._remove(name)
        return finished

    def _remove(self, name: str) -> None:
        actor = self._actors.pop(name, None)
        self._departures.forget(name)
        if name in self._coming:
            self._coming.discard(name)
            self._leave.give_up([name])
        if actor is not None and ray.is_initialized():
            ray.kill(actor, no_restart=True)
