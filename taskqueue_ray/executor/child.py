"""A process executor: takes sealed jobs, runs them one after another, gives outcomes back."""

import asyncio
import contextvars
import socket
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from taskqueue_ray.core.exchange import Outcome
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.engine.carrying import sent_result
from taskqueue_ray.engine.context import Context, activate, deactivate
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.executor.calls import Calls
from taskqueue_ray.executor.cell import Cell
from taskqueue_ray.executor.channel import WorkerChannel
from taskqueue_ray.executor.endings import Endings
from taskqueue_ray.executor.handlers import CODE, Handlers, question
from taskqueue_ray.executor.inputs import answered, plain_of
from taskqueue_ray.executor.messages import Assign
from taskqueue_ray.executor.runs import Run
from taskqueue_ray.executor.sealed import need, opened


def run_now(handler: JobType, plain: bytes) -> bytes:
    """Run a job to its end; an `async def` in a loop of its own."""
    if handler.is_async:
        return asyncio.run(handler.run_async(plain))
    return handler.run(plain)


class SyncExecutor:
    """Runs jobs in the main thread. `serve` returns when the worker says stop.

    `end` ends this process when the worker has gone; by default all of its process group.

    Before each job the main thread notes it in the cell, so that whatever the job does to this
    process, its worker knows which it was.
    """

    def __init__(
        self,
        channel: socket.socket,
        cell: Cell,
        sealer: Sealer | None,
        allowed: tuple[str, ...],
        end: Callable[[], object] | None = None,
    ) -> None:
        self._channel = WorkerChannel(channel, end)
        self._outbox = self._channel.outbox
        self._cell = cell
        self._sealer = sealer
        self._handlers = Handlers(sealer, allowed)
        self._endings = Endings(sealer)
        self._todo: SimpleQueue[Run | None] = SimpleQueue()
        self._calls = Calls(self._channel, cell, sealer, self._endings, self._todo)
        self._received = 0

    def serve(self) -> None:
        """Run what comes until told to stop."""
        threading.Thread(target=self._listen, name="channel", daemon=True).start()
        todo = self._todo
        while True:
            try:
                run = todo.get_nowait()
            except Empty:
                self._idle()
                run = todo.get()
            if run is None:
                self._idle()
                self._handlers.end(asyncio.run)
                return
            if run.options.batch:
                self._take_company(run)
            else:
                self._take(run)

    def _listen(self) -> None:
        self._channel.listen(self._assign, self._recall, self._cancel, self._stop)

    def _assign(self, order: Assign) -> None:
        options, put = order.options, self._todo.put
        ordinal = self._received
        for grant in order.grants:
            ordinal += 1
            put(Run(ordinal, grant, options[grant.options]))
        self._received = ordinal

    def _recall(self) -> list[int]:
        # Both threads take out one item at a time: each is either run or given back.
        recalled = self._calls.recall()
        try:
            while run := self._todo.get_nowait():
                recalled.append(run.ordinal)
            self._stop()
        except Empty:
            pass
        return recalled

    def _cancel(self, ids: list[JobId]) -> None:
        """The channel's flag is set; sync code looks at it when it likes."""

    def _stop(self) -> None:
        self._todo.put(None)

    def _idle(self) -> None:
        self._cell.began[0] = 0.0
        self._outbox.flush(time.monotonic())

    def _take(self, run: Run) -> None:
        cell, job_id = self._cell, run.grant.id
        run.began = cell.began[0] = time.monotonic()
        cell.ordinals[1] = run.ordinal
        if self._channel.any_cancelled and self._channel.cancelled(job_id):
            outcome = self._endings.cancelled(run)
        else:
            outcome = self._run(run)
        self._channel.forget(job_id)
        self._outbox.add(run.ordinal, outcome, run.began + outcome.seconds)

    def _take_company(self, run: Run) -> None:
        """Take a job whose handler may take others with it, and what that sets aside."""
        calls = self._calls
        calls.add(run)
        while (one := calls.next()) is not None:
            handler = self._handler_of_many(one)
            if handler is None or handler.vectorized is None:
                self._take(one)
            else:
                calls.make(handler, handler.vectorized, one)

    def _handler_of_many(self, run: Run) -> JobType | None:
        if not run.options.batch:
            return None
        if handler := self._handlers.known(run.options):
            return handler
        self._cell.mark(0, run.ordinal, time.monotonic())
        try:
            return self._find(run.options)
        except BaseException:
            return None  # it is found out again, and told, when the job is taken alone

    def _run(self, run: Run) -> Outcome:
        grant, options = run.grant, run.options
        try:
            sealer = self._sealer or need(None, options.key)
            handler = self._handlers.known(options) or self._find(options)
            plain = plain_of(grant, options, sealer, self._channel.call)
            saved = None if grant.checkpoint is None else opened(grant, options, sealer)
        except BaseException as error:
            return self._endings.unopened(run, error)
        token = activate(Context(self._channel, grant, options, sealer, saved))
        try:
            # In a copy, so that what one job sets in its context does not reach the next.
            envelope = contextvars.copy_context().run(run_now, handler, plain)
            result = sealer.seal(Kind.RESULT, grant.id, options.type, envelope)
        except BaseException as error:
            return self._endings.raised(run, error, handler.backoff)
        finally:
            deactivate(token)
        if len(result) > sealer.inline:
            try:
                result = answered(sent_result(grant.id, result), self._channel.call)
            except BaseException as error:
                return self._endings.unopened(run, error)
        return run.completed(result, time.monotonic())

    def _find(self, options: Options) -> JobType:
        if options.code is None:
            return self._handlers.imported(options)
        return self._handlers.restored(options, self._channel.call(CODE, question(options.code)))
