"""Attached workers: they belong to the program that asked for them and end with it.

A thread looks at the backlog now and then, and keeps their number as their pool's policy wants it.
"""

import logging
import secrets
import threading
import time
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from taskqueue_ray.cluster.asking import ask
from taskqueue_ray.cluster.crew import Crew
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.core.demand import LookReply, LookRequest
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import QueueClosed, TaskQueueError, Unavailable
from taskqueue_ray.core.exchange import WorkerView
from taskqueue_ray.core.pool import PLAIN, Pool, check_pool
from taskqueue_ray.core.quotas import too_large

LOOK = 1.0
"""Seconds between two looks at the backlog. One of a pool without workers waits for work."""

PAUSE = 0.1
START_PATIENCE = 60.0

log = logging.getLogger(__name__)


class AttachedWorkers:
    """The workers of one program. Use `start`, then `drain`; both may be called once."""

    def __init__(self, queue: QueueHandle, pool: Pool) -> None:
        self._queue = queue
        self._first = (pool.shapes or (PLAIN,))[0]
        self._crew = Crew(
            check_pool(pool),
            f"attached:{secrets.token_hex(4)}",
            queue,
            lambda _shape, count: [f"worker:{secrets.token_hex(4)}" for _ in range(count)],
            detached=False,
        )
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(
            target=self._supervise, name="taskqueue-workers", daemon=True
        )

    @property
    def names(self) -> list[str]:
        """The Ray names of the workers that run now."""
        return list(self._crew.hands)

    def start(self, timeout: float = START_PATIENCE) -> None:
        """Start the first workers and wait until they are ready.

        Raises `Unavailable` with the reason when one cannot work, `QuotaBelowWorker` when a quota
        is too small for even one. Those that a quota holds back come when it has room.
        """
        if refusal := self._crew.start(self._first, self._crew.pool.minimum).refusal:
            too_large(refusal)
        for hand in list(self._crew.hands.values()):
            self._wait_ready(hand.actor, timeout)
        self._thread.start()

    def drain(self, timeout: float = 30.0) -> bool:
        """Let running jobs end, give back the others, and end the workers. True if all ended."""
        self._halt()
        return self._drain(timeout)

    def give_back(self, timeout: float = 5.0) -> None:
        """Interrupt what runs: all jobs go back to the queue, no attempt is counted.

        May be called while another thread is in `drain`, which it ends.
        """
        self._halt()
        refs = [hand.actor.drain.remote(0.0) for hand in list(self._crew.hands.values())]
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=timeout)
        self.kill()

    def kill(self) -> None:
        """End the workers at once; the queue takes their jobs back."""
        self._halt()
        for name in self.names:
            self._crew.remove(name)

    def look(self) -> None:
        """One look: replace what died, grow and shrink."""
        seen = self._crew.look()
        # Only a pool without workers waits in the queue: a program that ends waits for nothing.
        request = LookRequest([seen], wait=LOOK if seen.hungry else 0.0)
        reply = decode(self._queue.call("look", encode(request)), LookReply)
        with self._lock:
            if not self._stop.is_set():
                demand = reply.demand.get(self._crew.owner, [])
                self._crew.tick(demand, reply.workers, time.time())

    def _supervise(self) -> None:
        while not self._stop.wait(PAUSE if self._crew.look().hungry else LOOK):
            try:
                self.look()
            except QueueClosed:
                return
            except (TaskQueueError, RayError) as error:
                if not self._stop.is_set():
                    log.warning("cannot look after the workers now: %s", error)

    def _halt(self) -> None:
        self._stop.set()
        with self._lock:
            pass  # a look that was going on has ended; one that waits for an answer does nothing
        if self._thread.is_alive():
            self._thread.join(timeout=2.0 * LOOK)

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

    def _drain(self, timeout: float) -> bool:
        hands = list(self._crew.hands.values())
        asked = {hand.name: partial(hand.actor.drain.remote, timeout) for hand in hands}
        sent = {name: drain() for name, drain in asked.items()}
        finished = True
        for name, drain in asked.items():
            try:
                finished &= bool(ask(drain, timeout + 10.0, sent=sent[name]))
            except RayError as error:
                log.warning("worker %s did not drain: %s", name, error)
                finished = False
            self._crew.remove(name)
        return finished
