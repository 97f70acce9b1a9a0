"""The worker actor: exchanges with the queue, feeds and watches its executors, runs no job code."""

import asyncio
import logging
import math
import os
import secrets
import socket
import sys
from dataclasses import dataclass

import psutil

from taskqueue_ray.cluster import config as configs
from taskqueue_ray.cluster import rim
from taskqueue_ray.cluster.exchanges import Exchanges
from taskqueue_ray.cluster.executors import TICK, Executors
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.hands import AllHands
from taskqueue_ray.cluster.loop import every
from taskqueue_ray.cluster.post import Post
from taskqueue_ray.cluster.ray_edge import RayEdge
from taskqueue_ray.cluster.ray_executors import RayExecutors
from taskqueue_ray.cluster.recycling import Recycling
from taskqueue_ray.cluster.termination import Terminable
from taskqueue_ray.cluster.vitals import EVERY, VitalSigns
from taskqueue_ray.core.errors import InvalidSetting, KeyMissing, TaskQueueError
from taskqueue_ray.core.exchange import Outcome, Progress, Save, WorkerInfo
from taskqueue_ray.core.model import IN_RAY, JobId
from taskqueue_ray.engine import logs
from taskqueue_ray.engine.code import PYTHON
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.keyring import Keyring
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.engine.wording import say

MEASURE = 5.0
"""Seconds between two looks at the memory of the node."""

TERM_PATIENCE = 6.0
"""Seconds for jobs that run to end after SIGTERM; `ray stop` kills after ten."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Life:
    """What a worker has once it is up."""

    executors: AllHands
    exchanges: Exchanges


class WorkerActor(Terminable):
    """Leases jobs for its queues and has its executors run them."""

    actors = "worker:"

    def __init__(self, config: bytes) -> None:
        self._config = configs.decode_worker(config)
        logs.set_up(self._config.log_level, self._config.log_format)
        self._id = configs.worker_id(self._config.name, secrets.token_hex(4))
        self._life: _Life | None = None
        self._problem: str | None = None
        self._gone = asyncio.Event()
        self._drained = asyncio.Event()
        self._all_ended = True
        self._left: asyncio.Task[None] | None = None
        self.hear()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._live()), loop.create_task(self._leave_when_told())]

    def __repr__(self) -> str:
        return f"WorkerActor({', '.join(self._config.queues) or 'all queues'})"

    async def incarnation(self) -> str:
        """Who this is: the id changes with every start of the process."""
        return self._id

    async def watch(self) -> None:
        """Return when this worker ends; fails, through Ray, when its process does."""
        await self._gone.wait()

    async def problem(self) -> str | None:
        """Why this worker cannot work, or None; `LEFT` when it was let go."""
        return configs.LEFT if self._gone.is_set() else self._problem

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109  # what is left is interrupted
        """Give back what has not begun, finish what runs, and stop. True when all of it ended."""
        if self._life is None:
            self._gone.set()
            return True
        if not self._drained.is_set():
            self._all_ended = await self._life.executors.drain(timeout) and self._all_ended
            if self._left is None:
                # Whoever is the first to be through leaves for all who asked.
                self._left = asyncio.get_running_loop().create_task(self._leave(self._life))
            await asyncio.shield(self._left)
        return self._all_ended

    async def _leave(self, life: _Life) -> None:
        await life.executors.stop()
        await life.exchanges.leave()
        self._drained.set()
        self._gone.set()

    # What executors in Ray use that are on another machine.

    async def attach(self, token: bytes) -> bool:
        """An executor has come; False: it is not awaited."""
        return self._life is not None and self._life.executors.in_ray.reception.attach(token)

    async def carry_in(self, token: bytes, data: bytes) -> bool:
        """What an executor says; False: it is to end."""
        return self._life is not None and await self._life.executors.in_ray.reception.carry_in(
            token, data
        )

    async def carry_out(self, token: bytes) -> bytes:
        """What is to be said to an executor, once there is something; b"": it is to end."""
        return (
            b""
            if self._life is None
            else await self._life.executors.in_ray.reception.carry_out(token)
        )

    async def _live(self) -> None:
        try:
            await self._start()
        except Exception as error:
            # An exception in an actor's start would be lost: keep it where the pool can read it.
            self._problem = f"{type(error).__name__}: {error}"
            log.exception("worker %s cannot start", self._id)
            return
        assert self._life is not None
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(every(TICK, self._tick, "worker")))
        self._tasks.append(loop.create_task(every(MEASURE, self._measure, "memory")))
        self._tasks.append(loop.create_task(self._drain_when_asked()))
        await self._life.exchanges.run()

    async def _start(self) -> None:
        config = self._config
        # The executors find modules where this process does: let it be where the program does.
        sys.path.extend(path for path in config.import_paths if path not in sys.path)
        keyring = keyring_of(rim.settings(config.key_file))
        if keyring is None:
            raise KeyMissing("any", [])
        queue = QueueHandle(config.queue_actor)
        recycling = Recycling(config.max_jobs, config.memory_limit, config.max_age)
        own = Executors(
            concurrency=config.concurrency,
            app_modules=config.app,
            on_outcomes=self._on_outcomes,
            on_progress=self._on_progress,
            on_saves=self._on_saves,
            call=queue.acall,
            environment=environment_of(config, keyring),
            sealer=Sealer(keyring),
            max_result=config.max_result,
            inline=config.inline,
            timeout=config.timeout,
            cancel_grace=config.cancel_grace,
            recycling=recycling,
        )
        in_ray = RayExecutors(
            concurrency=config.concurrency,
            post=post_of(config),
            edge=RayEdge,
            on_outcomes=self._on_outcomes,
            on_progress=self._on_progress,
            on_saves=self._on_saves,
            call=queue.acall,
            sealer=Sealer(keyring),
            timeout=config.timeout,
            cancel_grace=config.cancel_grace,
            recycling=recycling,
        )
        executors = AllHands(own, in_ray)
        signs = VitalSigns(executors)
        exchanges = Exchanges(self._info(keyring), executors, queue.acall, signs.take)
        self._life = _Life(executors, exchanges)
        await executors.start()
        self._tasks.append(
            asyncio.get_running_loop().create_task(every(EVERY, signs.measure, "vitals"))
        )
        if config.pool and ":" not in config.pool and own.unusable:
            # It could run nothing: the pool is to know, and to try again later.
            module, problem = next(iter(own.unusable.items()))
            words = problem.strip().splitlines()[-1]
            raise InvalidSetting("app", f"{module} cannot be imported by a worker: {words}")

    def _info(self, keyring: Keyring) -> WorkerInfo:
        return WorkerInfo(
            id=self._id,
            queues=self._config.queues,
            concurrency=self._config.concurrency,
            python=PYTHON,
            keys=keyring.ids,
            node=rim.node_id(),
            host=socket.gethostname(),
            pid=os.getpid(),
            actor=self._config.name,
            holds=tuple(self._config.holds.items()),
            # What it holds is for its own processes; executors in Ray hold theirs.
            executors=("process", "async") if self._config.shape else ("process", "async", *IN_RAY),
            shape=self._config.shape,
            pool=self._config.pool,
        )

    def _on_outcomes(self, outcomes: list[Outcome]) -> None:
        if self._life is not None:
            self._life.exchanges.add_outcomes(outcomes)

    def _on_progress(self, job_id: JobId, progress: Progress) -> None:
        if self._life is not None:
            self._life.exchanges.add_progress(job_id, progress)

    def _on_saves(self, saves: list[Save]) -> None:
        if self._life is not None:
            self._life.exchanges.add_saves(saves)

    async def _tick(self) -> None:
        assert self._life is not None
        for incident in self._life.executors.tick(asyncio.get_running_loop().time()):
            say(log, "incident", kind=incident.kind, text=incident.text, worker=self._id)
        grown = self._life.executors.take_grown()
        self._life.exchanges.add_grown([(one.type, one.size) for one in grown])
        self._life.exchanges.notice_running()

    async def _measure(self) -> None:
        assert self._life is not None
        memory = psutil.virtual_memory()
        self._life.exchanges.node_memory = [memory.total - memory.available, memory.total]

    async def _leave_when_told(self) -> None:
        """After SIGTERM: drain, and end this process. What still runs is given back uncounted."""
        await self.told.wait()
        say(log, "worker_told_to_end", worker=self._id)
        try:
            async with asyncio.timeout(TERM_PATIENCE + 3.0):
                await self.drain(TERM_PATIENCE)
        except (TaskQueueError, TimeoutError):
            log.warning("worker %s could not give back everything", self._id)
        rim.end_process()

    async def _drain_when_asked(self) -> None:
        assert self._life is not None
        exchanges, told = self._life.exchanges, math.inf
        while not self._drained.is_set():
            await exchanges.drain_asked.wait()
            exchanges.drain_asked.clear()
            seconds = exchanges.drain_seconds or self._config.drain_seconds
            if seconds < told:
                # It may be told to be quicker while it drains: the first to be through ends it.
                told = seconds
                drain = asyncio.get_running_loop().create_task(self._drain_as_told(seconds))
                self._tasks.append(drain)

    async def _drain_as_told(self, seconds: float) -> None:
        try:
            await self.drain(seconds)
        except TaskQueueError:
            log.exception("worker %s could not drain", self._id)


def post_of(config: configs.WorkerConfig) -> Post:
    """What its executors in Ray are told."""
    return Post(
        worker=config.name,
        address="",
        token=b"",
        app=config.app,
        import_paths=config.import_paths,
        key_file=config.key_file,
        max_result=config.max_result,
        max_batch=config.max_batch,
        inline=config.inline,
        log_level=config.log_level,
        log_format=config.log_format,
    )


def environment_of(config: configs.WorkerConfig, keyring: Keyring) -> dict[str, str]:
    """What the executors see: this process's environment, and the worker's keys and limits.

    What a handler enqueues is bounded as its own result is, wherever the limit was set.
    """
    return {
        **os.environ,
        "TASKQUEUE_ENCRYPTION_KEYS": keyring.as_variable(),
        "TASKQUEUE_MAX_PAYLOAD": str(config.max_result),
        "TASKQUEUE_INLINE_PAYLOAD": str(config.inline),
        "TASKQUEUE_MAX_BATCH": str(config.max_batch),
        "TASKQUEUE_LOG_LEVEL": config.log_level,
        "TASKQUEUE_LOG_FORMAT": config.log_format,
    }
