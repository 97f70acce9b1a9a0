"""Enqueueing without waiting: batches go out in the background, and are durable at the end."""

import threading
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

from taskqueue_ray.core.errors import InvalidRequest, QueueFull
from taskqueue_ray.sdk.batches import Batch, Parcel, Preparer
from taskqueue_ray.sdk.delivery import Delivery
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.job import Job, as_item
from taskqueue_ray.sdk.patience import Room, patience_here
from taskqueue_ray.sdk.transport import Answer, Transport

if TYPE_CHECKING:
    from taskqueue_ray.sdk.client import TaskQueue

WINDOW = 8
"""Batches that are on their way at once."""

_Flight = tuple[Parcel, Delivery]


class Pipeline:
    """A block of enqueues. Leaving it waits until all are durable, or raises what refused one.

    While batches are on their way the next one gathers, so that a slow disk makes larger batches,
    not a longer queue of small ones. Safe among threads.
    """

    def __init__(
        self, client: "TaskQueue", transport: Transport, preparer: Preparer, room: Room
    ) -> None:
        self._transport = transport
        self._room = room
        self._patience = patience_here()
        self._given_up = threading.Event()
        self._batch = Batch(client, preparer)
        self._delivery = Delivery()
        self._full: deque[_Flight] = deque()
        self._unsettled: set[Delivery] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def enqueue(self, target: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Enqueue a call without waiting. Raises at once what is wrong with the call itself.

        A payload that is too large for the journal is sent before this returns.
        What the queue has refused since the last call is raised here too.
        """
        item = as_item(target, args, kwargs)
        with self._changed:
            self._check_open()
            handle = self._batch.add(item, self._delivery)
            if self._batch.full:
                while len(self._full) >= WINDOW and self._error is None:
                    self._changed.wait()  # the queue is slower than we are: wait with it
                if len(self._batch):
                    self._pack()
                    self._changed.notify_all()
            elif len(self._batch) == 1:
                self._changed.notify_all()
        return handle

    def push(self, job: Job) -> JobHandle[Any]:
        """Enqueue a `tq.Job` without waiting."""
        return self.enqueue(job)

    def flush(self) -> None:
        """Wait until all that was enqueued so far is durable, or raise what refused it."""
        with self._changed:
            self._check_open()
            if len(self._batch):
                self._pack()
                self._changed.notify_all()
            unsettled = list(self._unsettled)
        for delivery in unsettled:
            delivery.wait()

    def __enter__(self) -> "Pipeline":
        self._thread = threading.Thread(target=self._run, name="taskqueue-pipeline", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._given_up.set()  # whoever leaves by an error does not wait for room
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._thread is None or self._closing:
            raise InvalidRequest("a pipeline is a block: with q.pipeline() as p: p.enqueue(...)")

    def _pack(self) -> None:
        self._full.append((self._batch.take(), self._delivery))
        self._unsettled.add(self._delivery)
        self._delivery = Delivery()

    def _run(self) -> None:
        flying: deque[tuple[Answer, _Flight]] = deque()
        while True:
            flight = self._next(bool(flying))
            if flight is None and not flying:
                return
            if flight is not None:
                self._send(flight, flying)
            if flight is None or len(flying) >= WINDOW:
                self._land(flying)

    def _next(self, flying: bool) -> _Flight | None:
        """A full batch; or what has gathered, when nothing is on its way; None: there is none."""
        with self._changed:
            while True:
                if self._full:
                    self._changed.notify_all()
                    return self._full.popleft()
                if flying:
                    return None
                if len(self._batch):
                    self._pack()
                elif self._closing:
                    return None
                else:
                    self._changed.wait()

    def _send(self, flight: _Flight, flying: deque[tuple[Answer, _Flight]]) -> None:
        parcel, delivery = flight
        if self._error is not None:
            self._fail(self._error, delivery)
            return
        try:
            flying.append((self._transport.submit("enqueue", parcel.body), flight))
        except Exception as problem:  # belongs to the handles, and to whoever leaves the block
            self._fail(problem, delivery)

    def _land(self, flying: "deque[tuple[Answer, _Flight]]") -> None:
        """The oldest batch that is on its way is stored, or its handles say why it is not."""
        answer, (parcel, delivery) = flying.popleft()
        try:
            try:
                parcel.settle(answer.result())
            except QueueFull as full:
                self._room.wait(parcel, full, self._patience, given_up=self._given_up)
                # Jobs in the others may depend on jobs in this one, and were refused for that.
                others = [flight for _, flight in flying]
                flying.clear()
                for flight in others:
                    self._send(flight, flying)
        except Exception as problem:  # as above
            self._fail(problem, delivery)
        else:
            delivery.finish()
        with self._changed:
            self._unsettled.discard(delivery)
            self._changed.notify_all()

    def _fail(self, problem: BaseException, delivery: Delivery) -> None:
        delivery.finish(problem)
        with self._changed:
            self._error = self._error or problem
            self._unsettled.discard(delivery)
            self._changed.notify_all()
