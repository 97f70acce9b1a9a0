"""The queue actor: a thin shell around the engine, one event loop, no fallible constructor.

It opens its storage in the background and says "recovering" meanwhile. When the storage fails, or
another writer has fenced it off, it ends its process; what Ray then starts anew asks, as any
opener does, whether taking over is right.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from taskqueue_ray._version import VERSION
from taskqueue_ray.cluster import config as configs
from taskqueue_ray.cluster import rim
from taskqueue_ray.cluster.archive import Archive
from taskqueue_ray.cluster.attendants import Attendants
from taskqueue_ray.cluster.loop import every
from taskqueue_ray.cluster.termination import Terminable
from taskqueue_ray.core.envelopes import decode, open_call, seal_reply
from taskqueue_ray.core.errors import (
    Fenced,
    InvalidRequest,
    OwnedElsewhere,
    Recovering,
    StorageCorrupt,
    StorageUnusable,
    TaskQueueError,
    Unavailable,
)
from taskqueue_ray.core.exchange import JobFilter, Ping, WorkerInfo
from taskqueue_ray.core.model import JobId
from taskqueue_ray.engine import logs
from taskqueue_ray.engine.beside import Threads
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.desk import PROTOCOL, Desk
from taskqueue_ray.engine.engine import Engine, Past, Ports
from taskqueue_ray.engine.folding import FoldPolicy
from taskqueue_ray.engine.opening import Identity, Insistence, Opened, open_storage
from taskqueue_ray.engine.wording import Failures, say
from taskqueue_ray.engine.writer import JournalWriter
from taskqueue_ray.storage.journal import JournalSettings
from taskqueue_ray.storage.location import open_filesystem, parse_location
from taskqueue_ray.storage.publication import FoldRequest, FoldResult

TICK = 0.1
HEARTBEAT = 5.0
PAUSE = 1.0
"""Seconds without a tick after which this process may have been frozen, and followed."""

PATIENCE = 15.0
"""Seconds for which a predecessor of the same cluster may still be ending."""

GLANCE = 1.0
"""Seconds for which a taken lock may be no more than somebody's look at it."""

OPEN_WAIT = 5.0
"""Seconds for which a call waits for the opening before it is told "recovering"."""

TERM_PATIENCE = 8.0
"""Seconds for an orderly end after SIGTERM; `ray stop` kills after ten."""

log = logging.getLogger(__name__)


class QueueActor(Terminable):
    """Owns one storage and serves clients and workers. See `engine.desk` for the methods."""

    actors = "queue:"

    def __init__(self, config: bytes) -> None:
        self.hear()
        self._config = configs.decode_queue(config)
        logs.set_up(self._config.log_level, self._config.log_format)
        self._filesystem = open_filesystem(parse_location(self._config.location))
        self._archive = archive = Archive(self._config.location, self._filesystem)
        self._archived: dict[str, Callable[[bytes], Awaitable[Any]]] = {
            "history": lambda raw: archive.history(*decode(raw, tuple[float, list[str] | None])),
            "past": lambda raw: archive.find(decode(raw, list[JobId])),
            "search": lambda raw: archive.search(*decode(raw, tuple[JobFilter, int])),
            "prune": self._prune,
        }
        self._engine: Engine | None = None
        self._desk: Desk | None = None
        self._opened: Opened | None = None
        self._writer: JournalWriter | None = None
        self._beside: Threads | None = None
        self._problem: TaskQueueError = Recovering("opening the storage")
        self._ready = asyncio.Event()
        self._known = False
        self._attendants = Attendants(self._config)
        self._failures: Failures | None = None
        self._seen_at = 0.0
        self._watched: dict[str, asyncio.Task[None]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks = [asyncio.get_running_loop().create_task(self._live())]
        self._leaving = asyncio.get_running_loop().create_task(self._leave_when_told())

    def __repr__(self) -> str:
        return f"QueueActor({self._config.location})"

    async def ping(self) -> bytes:
        """A `Ping`, also while the storage is being opened."""
        epoch = self._opened.fence.epoch if self._opened else 0
        location = self._config.location
        return seal_reply(
            Ping(
                PROTOCOL, VERSION, epoch, location, self._desk is None, os.getpid(),
                rim.node_id(), self._config.embedded, configs.in_force(self._config),
            )
        )  # fmt: skip

    async def call(self, data: bytes) -> bytes:
        """Serve one call; it and the answer are as in `core.envelopes`."""
        if (self._desk is None or self._is_fenced()) and not await self._wait_ready():
            return seal_reply(self._problem)
        method, request = open_call(data)
        if method in self._archived:
            return await self._ask_archive(method, request)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        assert self._desk is not None
        try:
            self._desk.serve(method, request, partial(_resolve, answer))
        except Exception:
            self._distrust()
            raise
        if method == "register":
            info = decode(request, WorkerInfo)
            self._watch(info.id, info.actor)
        return await answer

    async def shutdown(self) -> None:
        """An orderly end: everything applied is durable, the storage is free for the next owner."""
        await self._attendants.end_pools()
        await self._close(None)
        await self._attendants.dismiss()
        # Whoever opens it next may find it removed, or replaced, on purpose.
        await asyncio.to_thread(rim.forget_serving, self._config.location)

    async def _close(self, reason: TaskQueueError | None) -> None:
        self._problem = reason or Recovering("shutting down")
        self._ready.clear()
        engine, self._engine, self._desk = self._engine, None, None
        self._attendants.leave()
        for task in (*self._tasks, *self._watched.values()):
            task.cancel()
        if engine is not None:
            await _settled(engine)
            engine.close(reason)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
        if self._beside is not None:
            await asyncio.to_thread(self._beside.close)
        if self._opened is not None:
            await asyncio.to_thread(self._opened.release)

    async def _leave_when_told(self) -> None:
        """After SIGTERM: close, and end this process. Callers wait for the next one."""
        await self.told.wait()
        log.warning("the queue actor was told to end")
        try:
            async with asyncio.timeout(TERM_PATIENCE):
                await self._close(Recovering("its actor restarts"))
        except TimeoutError:
            log.warning("the queue could not be closed in good order")
        rim.end_process()

    # --- opening --------------------------------------------------------------------------

    async def _live(self) -> None:
        self._opened = opened = await self._open()
        sights = await self._attendants.first_look()
        self._attendants.serve(self._serve(opened), sights)
        loops = [
            every(TICK, self._tick, "queue"),
            every(HEARTBEAT, self._beat, "heartbeat"),
            *self._attendants.loops(),
        ]
        self._tasks += map(asyncio.get_running_loop().create_task, loops)

    async def _open(self) -> Opened:
        started = asyncio.get_running_loop().time()
        pause = 0.05
        while True:
            waited = asyncio.get_running_loop().time() - started
            insist = Insistence.SUCCEED if waited > PATIENCE else Insistence.NONE
            try:
                return await asyncio.to_thread(self._open_once, insist)
            except Unavailable as error:
                self._problem = Recovering(str(error))
            except OwnedElsewhere as error:
                # Somebody who only looks whether the lock is free has it for a moment.
                if waited > GLANCE:
                    self._problem = error
                    pause = max(pause, 1.0)
                else:
                    self._ready.clear()
                    await asyncio.sleep(pause)
                    continue
            except TaskQueueError as error:
                # What was usable when this actor was made may be so again.
                passing = isinstance(error, StorageUnusable) and (self._known or rim.is_restarted())
                self._problem = Recovering(str(error)) if passing else error
                # Reading a damaged journal again and again helps nobody.
                pause = max(pause, 30.0 if isinstance(error, StorageCorrupt) else 1.0)
                log.error("cannot open %s: %s", self._config.location, error)
            except OSError as error:
                self._problem = Recovering(f"the storage cannot be read now: {error}")
                log.warning("%s; trying again", self._problem)
            self._ready.set()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _open_once(self, insist: Insistence) -> Opened:
        config = self._config
        identity = Identity(config.cluster_id, config.address)
        settings = JournalSettings(config.segment_bytes, config.ballast_bytes)
        keyring = keyring_of(rim.settings(config.key_file), create=config.embedded)
        if keyring is None:
            raise Unavailable(
                "no encryption key on the queue's node: set TASKQUEUE_ENCRYPTION_KEYS there"
            )
        # A disk that is not mounted looks like a place for a new queue.
        self._known = rim.was_served(config.location)
        opened = open_storage(
            self._filesystem, config.location, identity, keyring, insist,
            settings=settings, known=self._known,
        )  # fmt: skip
        rim.remember_serving(config.location)
        return opened

    def _serve(self, opened: Opened) -> Engine:
        loop = asyncio.get_running_loop()
        self._writer = JournalWriter(opened.journal, loop.call_soon_threadsafe)
        self._beside = Threads(loop.call_soon_threadsafe)
        ports = Ports(
            self._writer,
            self._fold,
            self._look_up,
            self._end,
            opened.blobs,
            self._beside,
            self._set_alarm,
        )
        policy = FoldPolicy(rows=self._config.fold_rows, age=self._config.fold_age)
        engine = Engine(
            opened.state, ports, opened.clock, opened.journal.next_commit,
            location=self._config.location, fold_policy=policy, bounds=self._config.bounds,
        )  # fmt: skip
        engine.open(opened.fence.epoch, opened.clock.jump)
        self._engine, self._desk = engine, Desk(engine)
        for worker in opened.state.held:
            # It may have ended while nobody watched, or with the cluster that it was in.
            self._watch(worker, configs.actor_of(worker))
        self._ready.set()
        self._failures = engine.path.meter.on_failed = Failures(log, opened.clock.now)
        say(
            log, "serving", storage=self._config.location, jobs=len(opened.state.jobs),
            epoch=opened.fence.epoch, claim=opened.claim.value,
        )  # fmt: skip
        if opened.torn is not None:
            log.warning("cut an unfinished write: %s", opened.torn)
        if opened.clock.jump:
            log.warning("the clock is %+.0f s off the journal's last time", opened.clock.jump)
        return engine

    async def _wait_ready(self) -> bool:
        try:
            async with asyncio.timeout(OPEN_WAIT):
                await self._ready.wait()
        except TimeoutError:
            pass
        return self._desk is not None

    # --- loops ----------------------------------------------------------------------------

    async def _tick(self) -> None:
        if not self._is_fenced() and self._engine is not None:
            try:
                late = self._engine.tick()
            except Exception:
                self._distrust()
                raise
            if self._failures is not None:
                self._failures.settle()
            for worker in late:
                say(log, "worker_late", worker=worker)

    def _set_alarm(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        if not self._is_fenced() and self._engine is not None:
            try:
                self._engine.wake()
            except Exception:
                self._distrust()
                raise

    async def _beat(self) -> None:
        if self._opened is not None:
            try:
                await asyncio.to_thread(self._opened.heartbeat)
            except Fenced as fenced:
                self._fenced(fenced)

    def _is_fenced(self) -> bool:
        """After a pause, somebody may have taken over: ask before anything is answered."""
        now = asyncio.get_running_loop().time()
        paused, self._seen_at = now - self._seen_at > PAUSE, now
        if paused and self._opened is not None:
            try:
                self._opened.fence.check()
            except Fenced as fenced:
                self._fenced(fenced)
        return self._desk is None

    def _fenced(self, fenced: Fenced) -> None:
        if self._engine is not None:
            self._engine.commits.close(fenced)
        self._end(fenced)

    # --- workers --------------------------------------------------------------------------

    def _watch(self, worker: str, actor: str) -> None:
        if worker not in self._watched and actor:
            task = asyncio.get_running_loop().create_task(self._watch_until_gone(worker, actor))
            self._watched[worker] = task
            task.add_done_callback(lambda _: self._watched.pop(worker, None))

    async def _watch_until_gone(self, worker: str, actor: str) -> None:
        why = await rim.until_worker_is_gone(actor, worker)
        if self._engine is not None and self._engine.lose(worker, for_good=why in rim.FOR_GOOD):
            # Its process may have been ended before Ray could tell us that it had left.
            say(log, "worker_left", worker=worker)
        else:
            say(log, "worker_gone", worker=worker, why=why)

    # --- what the engine needs done elsewhere ------------------------------------------------

    def _fold(
        self, request: FoldRequest, done: Callable[[FoldResult | TaskQueueError], None]
    ) -> None:
        async def run() -> None:
            try:
                result = await self._archive.fold(request)
                assert self._opened is not None
                await self._archive.publish(self._opened.fence, result)
            except TaskQueueError as error:
                log.error("compaction failed: %s", error)
                done(error)
            except Exception as error:
                log.exception("compaction failed")
                done(Unavailable(f"compaction failed: {error}"))
            else:
                say(log, "folded", jobs=result.finished)
                done(result)
                await self._retain()

        self._spawn(run())

    def _look_up(self, ids: list[JobId], found: Callable[[Past | TaskQueueError], None]) -> None:
        async def run() -> None:
            try:
                views = await self._archive.find(ids)
            except Exception as error:
                found(Unavailable(f"history cannot be read: {error}"))
            else:
                found({view.id: view.state for view in views})

        self._spawn(run())

    async def _ask_archive(self, method: str, request: bytes) -> bytes:
        try:
            return seal_reply(await self._archived[method](request))
        except TaskQueueError as error:
            return seal_reply(error)
        except msgspec.MsgspecError as error:
            return seal_reply(InvalidRequest(f"the request to {method!r} cannot be read: {error}"))
        except Exception as error:
            log.exception("history cannot be read")
            return seal_reply(Unavailable(f"history cannot be read: {error}"))

    async def _retain(self) -> None:
        """Drop what the history has kept for long enough."""
        horizons = self._engine.horizons() if self._engine is not None else []
        if not horizons or self._opened is None:
            return
        try:
            if dropped := await self._archive.retain(self._opened.fence, horizons):
                say(log, "pruned", jobs=dropped)
        except Exception:
            log.exception("the history was not pruned; it is tried again after the next fold")

    async def _prune(self, request: bytes) -> int:
        assert self._opened is not None
        wanted = decode(request, tuple[JobFilter, float, list[JobId]])
        dropped = await self._archive.prune(self._opened.fence, *wanted)
        if self._engine is not None:
            self._engine.blobs.forget(wanted[2])
        return dropped

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    def _distrust(self) -> None:
        """A bug has struck between two facts: what is in memory may differ from the journal."""
        log.error("an internal error; the state is read anew")
        self._end(Recovering("an internal error"))

    def _end(self, error: TaskQueueError) -> None:
        """The engine can commit nothing more. Let the answers leave, then end this process."""
        log.critical("the queue actor ends: %s", error)
        self._desk = None
        self._problem = Recovering(str(error))
        asyncio.get_running_loop().call_later(0.2, rim.end_process)


def _resolve(answer: asyncio.Future[bytes], reply: bytes) -> None:
    # The caller may have gone away; the work was done all the same.
    if not answer.done():
        answer.set_result(reply)


async def _settled(engine: Engine) -> None:
    done = asyncio.Event()
    engine.commits.then(lambda _: done.set())
    engine.commits.flush(all=True)
    try:
        async with asyncio.timeout(10.0):
            await done.wait()
    except TimeoutError:
        log.warning("the last commits did not come through before the end")
