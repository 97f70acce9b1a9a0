"""An executor's line to its worker, and the thread that listens on it."""

import asyncio
import os
import select
import signal
import socket
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count

from taskqueue_ray.core.errors import TaskQueueError, from_wire
from taskqueue_ray.core.exchange import Progress, Save
from taskqueue_ray.core.model import JobId
from taskqueue_ray.executor.messages import (
    Assign,
    Call,
    Cancel,
    Frames,
    Order,
    Recall,
    Recalled,
    Reply,
    Stop,
    decode_order,
)
from taskqueue_ray.executor.outbox import Outbox

_READ = 256 * 1024


class WorkerChannel:
    """Implements `engine.context.Channel` over the socket that the worker gave.

    `listen` runs in a thread of its own: whatever job code does in the main thread, orders are
    taken and finished outcomes go out. Without its worker an executor ends, by `end`.
    """

    def __init__(self, channel: socket.socket, end: Callable[[], object] | None = None) -> None:
        self._socket = channel
        self._end = end or end_group
        self._waker = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.outbox = Outbox(channel, self._waker)
        self._cancelled: set[JobId] = set()
        self._calls: dict[int, Future[bytes]] = {}
        self._next_call = count(1).__next__

    # What job code may use, through the context.

    def progress(self, job_id: JobId, progress: Progress) -> None:
        """Report progress, merged with what comes soon after."""
        self.outbox.report(job_id, progress)

    def save(self, save: Save) -> None:
        """Send a checkpoint, or have it merged with what comes soon after."""
        self.outbox.save(save, time.monotonic())

    def cancelled(self, job_id: JobId) -> bool:
        """Whether the job was asked to stop."""
        return job_id in self._cancelled

    def call(self, method: str, request: bytes) -> bytes:
        """Ask the queue, and wait for the answer. Raises the queue's typed errors."""
        return self._ask(method, request).result()

    async def acall(self, method: str, request: bytes) -> bytes:
        """The same, without blocking the event loop."""
        return await asyncio.wrap_future(self._ask(method, request))

    def _ask(self, method: str, request: bytes) -> Future[bytes]:
        number = self._next_call()
        answer: Future[bytes] = Future()
        self._calls[number] = answer
        try:
            self.outbox.send(Call(number, method, bytes(request)))
        except BaseException:
            del self._calls[number]
            raise
        return answer

    # What the executor's own threads use.

    @property
    def any_cancelled(self) -> bool:
        """Whether a look at `cancelled` before a start could find anything."""
        return bool(self._cancelled)

    def forget(self, job_id: JobId) -> None:
        """The job ended."""
        if self._cancelled:
            self._cancelled.discard(job_id)
        self.outbox.forget(job_id)

    def listen(
        self,
        assign: Callable[[Assign], None],
        recall: Callable[[], list[int]],
        cancel: Callable[[list[JobId]], None],
        stop: Callable[[], None],
    ) -> None:
        """Take orders until the worker goes away; does not return."""

        def take(order: Order) -> None:
            match order:
                case Assign():
                    assign(order)
                case Recall():
                    self.outbox.send(Recalled(recall()))
                case Cancel():
                    self._cancelled.update(order.ids)
                    cancel(order.ids)
                case Reply():
                    self._answer(order)
                case Stop():
                    stop()

        try:
            self._listen(take)
        except (ConnectionError, BrokenPipeError):
            pass
        except BaseException:
            # Without this thread the executor is deaf: better gone, and replaced.
            traceback.print_exc()
        self._end()

    def _listen(self, take: Callable[[Order], None]) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._waker, select.POLLIN)
        frames = Frames()
        while True:
            wait = self.outbox.wait(time.monotonic())
            ready = dict(poll.poll(None if wait is None else wait * 1000))
            if self._waker in ready:
                os.eventfd_read(self._waker)
            if self._socket.fileno() in ready:
                data = self._socket.recv(_READ)
                if not data:
                    return
                for body in frames.feed(data):
                    take(decode_order(body))
            if self.outbox.wait(now := time.monotonic()) == 0.0:
                self.outbox.flush(now)

    def _answer(self, reply: Reply) -> None:
        answer = self._calls.pop(reply.number, None)
        if answer is None or not answer.set_running_or_notify_cancel():
            return
        if reply.error is None:
            answer.set_result(reply.body)
        else:
            answer.set_exception(_error(reply.error))


def _error(wire: tuple[str, dict[str, object]]) -> TaskQueueError:
    return from_wire(*wire)


def end_group() -> None:
    """End this process and all that its jobs have started, at once."""
    os.killpg(0, signal.SIGKILL)
