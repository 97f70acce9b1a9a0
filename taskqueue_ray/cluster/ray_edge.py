"""Executors in Ray, as Ray sees them: actors and tasks that are started, killed, and end."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from taskqueue_ray.cluster import ray_process, rim
from taskqueue_ray.cluster.config import ACTOR_CPUS
from taskqueue_ray.cluster.verdicts import Ending
from taskqueue_ray.core.errors import KeyMissing
from taskqueue_ray.core.model import ExecutorKind
from taskqueue_ray.core.shape import Shape

DONE = Ending("ended", "it ended")
_DIED = "ExecutorDied"
_GUESSES = "Some common causes"  # what follows in Ray's texts is of no use to anyone here
_SHOWN = 600

log = logging.getLogger(__name__)


class Edge(Protocol):
    """What starts processes for job code. The end of each is told once, whatever it came of."""

    def start(self, number: int, kind: ExecutorKind, shape: Shape, post: bytes) -> None:
        """Ask for one; it reports to the `Reception` of its post."""

    def kill(self, number: int) -> None:
        """End it, or give up asking."""


class RayEdge:
    """Implements `Edge`. `ended` gets the number and how it ended. All on one event loop.

    This process owns what it starts: when it ends, Ray ends that too.
    """

    def __init__(self, ended: Callable[[int, Ending], None]) -> None:
        self._ended = ended
        self._node = rim.node_id()
        self._actors: dict[int, Any] = {}
        self._refs: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, number: int, kind: ExecutorKind, shape: Shape, post: bytes) -> None:
        """Ask Ray for an actor, or for a task."""
        task = asyncio.get_running_loop().create_task(self._live(number, kind, shape, post))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def kill(self, number: int) -> None:
        """Kill it whatever it does; what has not been placed yet is taken back."""
        with suppress(RayError):
            if (actor := self._actors.get(number)) is not None:
                ray.kill(actor, no_restart=True)
            elif (ref := self._refs.get(number)) is not None:
                ray.cancel(ref, force=True)

    async def _live(self, number: int, kind: ExecutorKind, shape: Shape, post: bytes) -> None:
        ending = DONE
        try:
            if kind == "actor":
                self._refs[number] = self._actor(number, shape).serve.remote(post)
            else:
                self._refs[number] = _task(shape).remote(post)
            await self._refs[number]
        except Exception as error:
            ending = ending_of(error)
        if kind == "actor":
            self.kill(number)  # it stays after its only call
        self._refs.pop(number, None)
        self._actors.pop(number, None)
        self._ended(number, ending)

    def _actor(self, number: int, shape: Shape) -> Any:
        options = _options(shape, ACTOR_CPUS)
        if not shape.label_selector:
            # Here if it can be: an executor on this machine is fed through shared memory.
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(
                self._node, soft=True, _spill_on_unavailable=True
            )
        made = ray.remote(ray_process.RayExecutor).options(
            max_restarts=0, max_task_retries=0, enable_task_events=False, **options
        )
        actor = self._actors[number] = made.remote()
        return actor


def _task(shape: Shape) -> Any:
    """One run, in a process that is used for nothing else."""
    task = ray.remote(max_calls=1, max_retries=0)(ray_process.serve)
    return task.options(name="taskqueue job", **_options(shape, 1.0))


def _options(shape: Shape, cpus: float) -> dict[str, Any]:
    options: dict[str, Any] = {"num_cpus": cpus if shape.num_cpus is None else shape.num_cpus}
    if shape.num_gpus is not None:
        options["num_gpus"] = shape.num_gpus
    if shape.memory is not None:
        options["memory"] = shape.memory
    if shape.resources:
        options["resources"] = dict(shape.resources)
    if shape.label_selector:
        options["label_selector"] = dict(shape.label_selector)
    if shape.runtime_env:
        options["runtime_env"] = msgspec.json.decode(shape.runtime_env)
    return options


def ending_of(error: Exception) -> Ending:
    """How an executor ended, by what Ray says of it."""
    words = " ".join(str(error).partition(_GUESSES)[0].split())[:_SHOWN]
    match error:
        case RuntimeEnvSetupError():
            return Ending("RuntimeEnvSetupError", f"its runtime_env failed: {words}", unfit=True)
        case OutOfMemoryError():
            return Ending("OutOfMemoryError", f"Ray ended its process for lack of memory: {words}")
        case RayTaskError(cause=KeyMissing()):
            return Ending("KeyMissing", "the node that Ray chose has no key of this queue")
        case RayError():
            return Ending(_DIED, f"its process in Ray ended: {words}")
        case _:
            # Ray refused what was asked for, before it began anything.
            return Ending(type(error).__name__, f"Ray refused it: {words}", unfit=True)
