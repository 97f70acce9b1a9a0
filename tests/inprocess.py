"""The engine behind the SDK's transport, in one process: no Ray, no thread, no disk, no clock.

`Bench` puts together what a program, the queue and a worker are elsewhere. Work is done when a
test says `work()`, and time goes on when it says `advance()`.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec

from taskqueue_ray.core.envelopes import decode, open_reply
from taskqueue_ray.core.errors import TaskQueueError, Unavailable
from taskqueue_ray.core.exchange import (
    FireRequest,
    Fires,
    Grant,
    JobFilter,
    Outcome,
    OutcomeKind,
    Progress,
    Save,
    WorkerInfo,
    WorkReply,
    WorkRequest,
)
from taskqueue_ray.core.model import Failure, JobId, Options, StoredCode
from taskqueue_ray.engine.carrying import sent_result
from taskqueue_ray.engine.code import restore
from taskqueue_ray.engine.context import (
    Cancel,
    Context,
    Fail,
    Snooze,
    WaitFor,
    activate,
    deactivate,
)
from taskqueue_ray.engine.desk import Desk
from taskqueue_ray.engine.engine import Engine, Ports
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Kind, Sealer, seal_error
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.engine.writer import Result, commit
from taskqueue_ray.executor.inputs import answered, plain_of
from taskqueue_ray.executor.sealed import opened
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.storage.blobs import open_blobs
from taskqueue_ray.storage.compaction import fold
from taskqueue_ray.storage.history import (
    find,
    prune,
    read_history,
    retain,
    search,
    to_bytes,
)
from taskqueue_ray.storage.journal import Journal
from taskqueue_ray.storage.manifest import take_over
from taskqueue_ray.storage.memory import MemoryFileSystem
from taskqueue_ray.storage.publication import publish, release_history, settle_files
from taskqueue_ray.storage.recovery import Replay
from taskqueue_ray.storage.replay import load_state, replay

_encode = msgspec.msgpack.encode
WORKER = "worker"


class Clock:
    """A clock that goes on when it is told to, and begins at the real time: ids embed that."""

    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


class Host:
    """One queue, with what a restart keeps (`fs`) and what it loses."""

    def __init__(self, now: float) -> None:
        self.fs = MemoryFileSystem()
        self.clock = Clock(now)
        self.lock = threading.RLock()
        self.asked: list[str] = []
        self.slow_fold = False
        self.folds: list[Callable[[], None]] = []
        """With `slow_fold`, what a test calls to have a fold done."""
        self._held: list[Future[bytes]] = []
        self.open()

    def open(self) -> None:
        """Recover and serve: also what a restart does."""
        self._fence = fence = take_over(self.fs, "here")
        settle_files(self.fs, fence.manifest)
        state = load_state(self.fs, fence.manifest)
        journal = Replay(self.fs, fence.manifest)
        for frame in journal.frames():
            replay(state, frame.payload, "journal", frame.offset)
        self._journal = Journal.open(self.fs, fence, journal.end, b"nonce678")

        def do_fold(request: Any, done: Callable[[Any], None]) -> None:
            def work() -> None:
                result = fold(self.fs, request)
                publish(self.fs, fence, result)
                done(result)
                if horizons := self.engine.horizons():
                    release_history(fence)
                    retain(self.fs, horizons)

            self.folds.append(work) if self.slow_fold else work()

        blobs = open_blobs(self.fs, fence, state)
        ports = Ports(self, do_fold, self._look_up, self._broken, blobs)
        self.engine = Engine(state, ports, self.clock, self._journal.next_commit)
        self.desk = Desk(self.engine)
        self.engine.open(fence.epoch)

    def restart(self) -> None:
        """Die, and come back. Whoever was held learns that the answer is lost."""
        held, self._held = self._held, []
        for answer in held:
            if not answer.done():
                answer.set_exception(Unavailable("the queue died"))
        self.open()

    def submit(self, payload: bytes, seal: bool, done: Callable[[Result], None]) -> None:
        """As the engine's writer: commit at once."""
        done(commit(self._journal, payload, seal))

    def serve(self, method: str, request: bytes) -> "Future[bytes]":
        """Ask the queue."""
        answer: Future[bytes] = Future()
        self._held = [held for held in self._held if not held.done()]
        self._held.append(answer)

        def respond(data: bytes) -> None:
            if answer.done():
                return  # the queue that was asked is no more
            try:
                answer.set_result(open_reply(data))
            except TaskQueueError as error:
                answer.set_exception(error)

        with self.lock:
            self.asked.append(method)
            match method:
                case "history":
                    since, columns = msgspec.msgpack.decode(request)
                    answer.set_result(_encode(to_bytes(read_history(self.fs, since, columns))))
                case "search":
                    wanted, limit = decode(request, tuple[JobFilter, int])
                    answer.set_result(_encode(search(self.fs, wanted, limit)))
                case "prune":
                    wanted, before, ids = decode(request, tuple[JobFilter, float, list[JobId]])
                    release_history(self._fence)
                    answer.set_result(_encode(prune(self.fs, wanted, before, ids)))
                    self.engine.blobs.forget(ids)
                case "past":
                    ids = msgspec.msgpack.decode(request, type=list[JobId])
                    answer.set_result(_encode(find(self.fs, ids)))
                case _:
                    self.desk.serve(method, request, respond)
        return answer

    def _look_up(self, ids: list[JobId], found: Callable[[Any], None]) -> None:
        found({view.id: view.state for view in find(self.fs, ids)})

    def _broken(self, error: TaskQueueError) -> None:
        raise AssertionError(error)


class HostTransport:
    """Implements `sdk.transport.Transport`. `after` names what happens after a method, once."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.after: dict[str, Callable[[], None]] = {}

    def submit(self, method: str, request: bytes) -> "Future[bytes]":
        answer = self.host.serve(method, request)
        self.after.pop(method, lambda: None)()
        return answer

    def call(self, method: str, request: bytes, timeout: float | None = None) -> bytes:
        return self.submit(method, request).result(30.0)

    async def acall(
        self,
        method: str,
        request: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # as in the protocol
    ) -> bytes:
        return await asyncio.wrap_future(self.submit(method, request))

    def close(self) -> None:
        pass


class HostChannel:
    """Implements `engine.context.Channel` for jobs that the bench runs."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.said: dict[JobId, Progress] = {}
        self.saves: list[Save] = []

    def progress(self, job_id: JobId, progress: Progress) -> None:
        self.said[job_id] = progress

    def save(self, save: Save) -> None:
        self.saves.append(save)

    def cancelled(self, job_id: JobId) -> bool:
        return False

    def call(self, method: str, request: bytes) -> bytes:
        return self._host.serve(method, request).result(30.0)

    async def acall(self, method: str, request: bytes) -> bytes:
        return self.call(method, request)


class Bench:
    """A client, the queue, and a worker that runs jobs here."""

    def __init__(self, now: float, max_payload: int = 1 << 20) -> None:
        self.host = Host(now)
        self.transport = HostTransport(self.host)
        self.sealer = Sealer(Keyring([Key(bytes(32))]), max_size=max_payload)
        self.q = TaskQueue(self.transport, self.sealer, location="here")
        self.channel = HostChannel(self.host)
        self._sequence = 0

    def advance(self, seconds: float) -> None:
        """Time passes."""
        with self.host.lock:
            self.host.clock.time += seconds
            self.host.engine.tick()

    def fire(self) -> int:
        """A scheduler asks for what is due; how many times were dealt with."""
        fires = msgspec.msgpack.decode(self._ask("fire", FireRequest("scheduler")), type=Fires)
        return fires.dealt

    def restart(self) -> None:
        """The queue dies and comes back."""
        with self.host.lock:
            self.host.restart()
        self._sequence = 0

    def fold(self) -> None:
        """What ended goes into the history."""
        with self.host.lock:
            self.host.engine.folding.request()
            self.host.engine.tick()

    def work(self, rounds: int = 10) -> int:
        """Run what is ready, and what that makes ready; how many runs there were."""
        outcomes: list[Outcome] = []
        runs = 0
        info = WorkerInfo(WORKER, (), 1, "3.11", (self.sealer.key_id,))
        msgspec.msgpack.decode(self._ask("register", info))
        for _ in range(rounds):
            self._sequence += 1
            request = WorkRequest(
                WORKER, self._sequence, self._sequence - 1, outcomes, [], [], 100,
                saves=self.channel.saves[:],
            )  # fmt: skip
            self.channel.saves.clear()
            reply = msgspec.msgpack.decode(self._ask("work", request), type=WorkReply)
            outcomes = [self._run(grant, reply.options[grant.options]) for grant in reply.grants]
            runs += len(outcomes)
            if not outcomes:
                break
        return runs

    def vanish(self) -> None:
        """A worker takes one job and is never heard of again."""
        info = WorkerInfo("vanishing", (), 1, "3.11", (self.sealer.key_id,))
        self._ask("register", info)
        self._ask("work", WorkRequest("vanishing", 1, 0, [], [], [], 1))
        with self.host.lock:
            self.host.engine.lose("vanishing")

    def _ask(self, method: str, request: Any) -> bytes:
        return self.host.serve(method, _encode(request)).result(30.0)

    def _run(self, grant: Grant, options: Options) -> Outcome:
        token = (grant.id, grant.delivery, grant.lease)
        saved = opened(grant, options, self.sealer) if grant.checkpoint else None
        context = activate(Context(self.channel, grant, options, self.sealer, saved))
        try:
            plain = plain_of(grant, options, self.sealer, self.channel.call)
            job = self._job_type(options)
            done = asyncio.run(job.run_async(plain)) if job.is_async else job.run(plain)
            result = self.sealer.seal(Kind.RESULT, grant.id, options.type, done)
            if len(result) > self.sealer.inline:
                result = answered(sent_result(grant.id, result), self.channel.call)
            return Outcome(*token, OutcomeKind.COMPLETED, result)
        except Snooze as snooze:
            due = self.host.clock.now() + snooze.seconds
            return Outcome(*token, OutcomeKind.SNOOZED, due=due)
        except WaitFor as wait:
            return Outcome(*token, OutcomeKind.WAITING, awaited=wait.ids)
        except Cancel:
            return Outcome(*token, OutcomeKind.CANCELLED)
        except Exception as error:
            detail = seal_error(self.sealer, grant.id, options.type, str(error), "Traceback …")
            failure = Failure("error", type(error).__name__, detail)
            return Outcome(
                *token, OutcomeKind.ERRORED, failure=failure, final=isinstance(error, Fail)
            )
        finally:
            deactivate(context)

    def _job_type(self, options: Options) -> JobType:
        if options.code is None:
            return registry.resolve(options.type, ())
        stored = msgspec.msgpack.decode(self._ask("code", options.code), type=StoredCode)
        return restore(stored, options.code, self.sealer)
