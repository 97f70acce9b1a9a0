"""An async executor: an event loop in which many coroutines run at a time."""

import asyncio
import contextvars
import socket
import threading
import time
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any

from taskqueue_ray.core.exchange import Outcome
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.engine.backoffs import BackoffFunction
from taskqueue_ray.engine.carrying import sent_result
from taskqueue_ray.engine.context import Context, activate
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.executor.cell import Cell
from taskqueue_ray.executor.channel import WorkerChannel
from taskqueue_ray.executor.endings import Endings
from taskqueue_ray.executor.handlers import CODE, Handlers, question
from taskqueue_ray.executor.inputs import aanswered, aplain_of
from taskqueue_ray.executor.messages import Assign
from taskqueue_ray.executor.runs import Run
from taskqueue_ray.executor.sealed import need, opened

_ordinal: contextvars.ContextVar[int] = contextvars.ContextVar("ordinal", default=0)


class Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that notes in the cell whose it is, for as long as each step of it takes.

    A death or a hang of the event loop is thus blamed on the job that was on it.
    """

    __slots__ = ("_cell", "_coroutine", "_ordinal")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], cell: Cell, ordinal: int) -> None:
        self._coroutine = coroutine
        self._cell = cell
        self._ordinal = ordinal

    def send(self, value: Any) -> Any:
        cell = self._cell
        outer = cell.head()
        cell.mark(0, self._ordinal, time.monotonic())
        try:
            return self._coroutine.send(value)
        finally:
            cell.mark(0, outer.ordinal, outer.began)

    def throw(self, *error: Any) -> Any:
        cell = self._cell
        outer = cell.head()
        cell.mark(0, self._ordinal, time.monotonic())
        try:
            return self._coroutine.throw(*error)
        finally:
            cell.mark(0, outer.ordinal, outer.began)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()


async def _run(handler: JobType, plain: bytes) -> bytes:
    # A plain function that was sent here all the same keeps the loop until it is done.
    return await handler.run_async(plain) if handler.is_async else handler.run(plain)


class AsyncExecutor:
    """Runs coroutines, as many at a time as the cell has slots. `serve` returns on stop."""

    def __init__(
        self, channel: socket.socket, cell: Cell, sealer: Sealer | None, allowed: tuple[str, ...]
    ) -> None:
        self._channel = WorkerChannel(channel)
        self._outbox = self._channel.outbox
        self._cell = cell
        self._sealer = sealer
        self._handlers = Handlers(sealer, allowed)
        self._endings = Endings(sealer)
        self._todo: deque[Run] = deque()
        self._received = 0
        self._free = list(range(cell.size - 1, 0, -1))
        self._begun: dict[int, tuple[JobId, asyncio.Task[Any]]] = {}
        # The loop itself refers to tasks weakly.
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._over = False
        self._loop = asyncio.new_event_loop()
        self._context = contextvars.copy_context()
        self._loop.set_task_factory(self._task)

    def serve(self) -> None:
        """Run what comes until told to stop."""
        asyncio.set_event_loop(self._loop)
        threading.Thread(target=self._listen, name="channel", daemon=True).start()
        while not self._stopping:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                # A task that a job left behind raised it; the other jobs go on.
                continue
        self._over = True
        self._outbox.flush(time.monotonic())
        self._handlers.end(self._loop.run_until_complete)

    # In the channel's thread.

    def _listen(self) -> None:
        self._channel.listen(self._assign, self._recall, self._cancel, self._stop)

    def _assign(self, order: Assign) -> None:
        for grant in order.grants:
            self._received += 1
            self._todo.append(Run(self._received, grant, order.options[grant.options]))
        self._loop.call_soon_threadsafe(self._fill)

    def _recall(self) -> list[int]:
        recalled = []
        while self._todo:
            try:
                recalled.append(self._todo.popleft().ordinal)
            except IndexError:
                break
        return recalled

    def _cancel(self, ids: list[JobId]) -> None:
        self._loop.call_soon_threadsafe(self._cancel_tasks, ids)

    def _stop(self) -> None:
        self._stopping = True
        self._loop.call_soon_threadsafe(self._stop_when_idle)

    # On the loop.

    def _fill(self) -> None:
        while self._free:
            try:
                run = self._todo.popleft()
            except IndexError:
                break
            self._begin(run, self._free.pop())

    def _begin(self, run: Run, slot: int) -> None:
        run.began = time.monotonic()
        self._cell.mark(slot, run.ordinal, run.began)
        # Not of the present one: this may be the end of another job, whose own it is.
        context = self._context.copy()
        context.run(_ordinal.set, run.ordinal)
        task = self._loop.create_task(self._take(run, slot), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> asyncio.Future[Any]:
        """The loop's task factory: what a job starts beside itself is stepped in its name too."""
        context: contextvars.Context | None = options.get("context")
        ordinal = _ordinal.get() if context is None else context.get(_ordinal, 0)
        if ordinal and isinstance(coroutine, Coroutine):
            coroutine = Stepped(coroutine, self._cell, ordinal)
        return asyncio.Task(coroutine, loop=loop, **options)

    def _cancel_tasks(self, ids: list[JobId]) -> None:
        # Only what has taken its first step: to a task before that, it would be the last, without
        # a word. Such a one finds the flag by itself.
        wanted = set(ids)
        for job_id, task in self._begun.values():
            if job_id in wanted:
                task.cancel()

    async def _take(self, run: Run, slot: int) -> None:
        job_id = run.grant.id
        task = asyncio.current_task()
        assert task is not None
        self._begun[run.ordinal] = job_id, task
        try:
            outcome = await self._run(run)
        except BaseException as error:
            outcome = self._endings.raised(run, error)
        del self._begun[run.ordinal]
        self._channel.forget(job_id)
        self._outbox.add(run.ordinal, outcome, time.monotonic())
        self._cell.clear(slot)
        self._free.append(slot)
        self._fill()
        self._stop_when_idle()

    async def _run(self, run: Run) -> Outcome:
        grant, options = run.grant, run.options
        if self._channel.any_cancelled and self._channel.cancelled(grant.id):
            return self._endings.cancelled(run)
        try:
            sealer = self._sealer or need(None, options.key)
            handler = self._handlers.known(options) or await self._find(options)
            plain = await aplain_of(grant, options, sealer, self._channel.acall)
            saved = None if grant.checkpoint is None else opened(grant, options, sealer)
        except asyncio.CancelledError as error:
            return self._stopped(run, error, expired=False)
        except BaseException as error:
            return self._endings.unopened(run, error)
        activate(Context(self._channel, grant, options, sealer, saved))
        limit = asyncio.timeout(options.timeout)
        try:
            async with limit:
                envelope = await _run(handler, plain)
            result = sealer.seal(Kind.RESULT, grant.id, options.type, envelope)
        except BaseException as error:
            return self._stopped(run, error, expired=limit.expired(), backoff=handler.backoff)
        if len(result) > sealer.inline:
            try:
                result = await aanswered(sent_result(grant.id, result), self._channel.acall)
            except asyncio.CancelledError as error:
                return self._stopped(run, error, expired=False)
            except BaseException as error:
                return self._endings.unopened(run, error)
        return run.completed(result, time.monotonic())

    def _stopped(
        self,
        run: Run,
        error: BaseException,
        *,
        expired: bool,
        backoff: BackoffFunction | None = None,
    ) -> Outcome:
        if expired and isinstance(error, TimeoutError):
            return self._endings.timed_out(run, error, backoff)
        if isinstance(error, asyncio.CancelledError) and self._channel.cancelled(run.grant.id):
            return self._endings.cancelled(run)
        return self._endings.raised(run, error, backoff)

    async def _find(self, options: Options) -> JobType:
        if options.code is None:
            return self._handlers.imported(options)
        answer = await self._channel.acall(CODE, question(options.code))
        return self._handlers.restored(options, answer)

    def _stop_when_idle(self) -> None:
        # The order to stop may come again after it was followed: teardown uses the loop then.
        if self._over:
            return
        if self._stopping and not self._todo and len(self._free) == self._cell.size - 1:
            self._loop.stop()
