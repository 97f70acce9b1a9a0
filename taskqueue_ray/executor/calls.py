"""Calls of vectorized handlers: their jobs gathered, run together, and settled one by one."""

import contextvars
import time
from collections import deque
from collections.abc import Hashable, Iterator
from queue import Empty, SimpleQueue
from typing import Any

from taskqueue_ray.core.exchange import Outcome
from taskqueue_ray.core.model import Options
from taskqueue_ray.engine.batch_context import BatchContext
from taskqueue_ray.engine.carrying import sent_result
from taskqueue_ray.engine.context import activate, deactivate
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.vectorized import Vectorized
from taskqueue_ray.executor.cell import Cell
from taskqueue_ray.executor.channel import WorkerChannel
from taskqueue_ray.executor.endings import Endings
from taskqueue_ray.executor.inputs import answered, plain_of
from taskqueue_ray.executor.runs import Run
from taskqueue_ray.executor.sealed import need

Settled = list[tuple[int, Outcome]]


class Calls:
    """What a sync executor has of jobs that are to share calls.

    The main thread gathers and calls; the channel's thread may take back what has not begun. Each
    takes out one job at a time, so that a job is either run or given back.
    """

    def __init__(
        self,
        channel: WorkerChannel,
        cell: Cell,
        sealer: Sealer | None,
        endings: Endings,
        todo: "SimpleQueue[Run | None]",
    ) -> None:
        self._channel = channel
        self._cell = cell
        self._sealer = sealer
        self._endings = endings
        self._todo = todo
        self._aside: deque[Run] = deque()
        self._gathered: deque[Run] = deque()
        self._items: dict[int, Any] = {}

    # What the channel's thread uses.

    def recall(self) -> list[int]:
        """Give back all that has not begun."""
        recalled = []
        for line in (self._gathered, self._aside):
            for run in _each(line):
                self._items.pop(run.ordinal, None)
                recalled.append(run.ordinal)
        return recalled

    # What the main thread uses.

    def add(self, run: Run) -> None:
        """Set a job aside until `next`."""
        self._aside.append(run)

    def next(self) -> Run | None:
        """The job that was set aside first."""
        return next(_each(self._aside), None)

    def make(self, handler: JobType, vectorized: Vectorized, first: Run) -> None:
        """Call the handler for this job, and for what can share its call."""
        try:
            group = self._group(handler, vectorized, first)
        except BaseException as error:
            first.began = time.monotonic()
            return self._settle([first], [(first.ordinal, self._endings.unopened(first, error))])
        self._gathered.append(first)
        if not _goes_alone(first):
            self._gather(handler, vectorized, first.options, group)
        if runs := list(_each(self._gathered)):
            self._run(handler, vectorized, runs)
        return None

    # --- gathering -------------------------------------------------------------------------------

    def _gather(
        self, handler: JobType, vectorized: Vectorized, options: Options, group: Hashable
    ) -> None:
        """Take in what fits, from what is in hand, and from what comes until it is time."""
        batch, gathered = vectorized.batch, self._gathered
        until = time.monotonic() + batch.seconds

        def seat(run: Run) -> None:
            its = run.options
            fits = (its is options or _alike(its, options)) and not _goes_alone(run)
            if fits and batch.key is not None:
                fits = self._is_of(handler, vectorized, run, group)
            (gathered if fits else self._aside).append(run)

        for _ in range(len(self._aside)):
            if (run := self.next()) is not None:
                # When the call is full the others only go round, and keep their order.
                seat(run) if len(gathered) < batch.max_size else self._aside.append(run)
        while len(gathered) < batch.max_size and (run := self._more(until)) is not None:
            seat(run)

    def _more(self, until: float) -> Run | None:
        try:
            run = self._todo.get_nowait()
        except Empty:
            wait = until - time.monotonic()
            if self._aside or wait <= 0:  # other work is there, or it is time
                return None
            self._cell.began[0] = 0.0
            self._channel.outbox.flush(time.monotonic())
            try:
                run = self._todo.get(timeout=wait)
            except Empty:
                return None
        if run is None:
            self._todo.put(None)  # the order to end, for whoever looks next
        return run

    def _is_of(self, handler: JobType, vectorized: Vectorized, run: Run, group: Hashable) -> bool:
        try:
            return bool(self._group(handler, vectorized, run) == group)
        except BaseException:
            return False  # it is found out, and told, in a call of its own

    def _group(self, handler: JobType, vectorized: Vectorized, run: Run) -> Hashable:
        if vectorized.batch.key is None:
            return None
        if run.ordinal not in self._items:
            self._items[run.ordinal] = self._opened(handler, run)
        return vectorized.group(self._items[run.ordinal])

    # --- the call --------------------------------------------------------------------------------

    def _run(self, handler: JobType, vectorized: Vectorized, runs: list[Run]) -> None:
        began = time.monotonic()
        for run in runs:
            run.began = began
        self._cell.mark_all([run.ordinal for run in runs], began)
        settled: Settled = []
        seated: list[Run] = []
        items: list[Any] = []
        opened = self._items
        for run in runs:
            try:
                if self._channel.any_cancelled and self._channel.cancelled(run.grant.id):
                    self._items.pop(run.ordinal, None)
                    settled.append((run.ordinal, self._endings.cancelled(run)))
                    continue
                known = opened and run.ordinal in opened
                items.append(opened.pop(run.ordinal) if known else self._opened(handler, run))
                seated.append(run)
            except BaseException as error:
                settled.append((run.ordinal, self._endings.unopened(run, error)))
        if seated:
            settled += self._called(handler, seated, items)
        self._settle(runs, settled)

    def _called(self, handler: JobType, runs: list[Run], items: list[Any]) -> Settled:
        token = activate(self._context(runs))
        try:
            # In a copy, so that what one call sets in its context does not reach the next.
            results = contextvars.copy_context().run(handler.run_many, items)
        except BaseException as error:
            backoff = handler.backoff
            return [(run.ordinal, self._endings.raised(run, error, backoff)) for run in runs]
        finally:
            deactivate(token)
        ended = time.monotonic()
        sealer = need(self._sealer, "")  # the items were opened with it
        settled: Settled = []
        for run, item, result in zip(runs, items, results, strict=True):
            try:
                if isinstance(result, BaseException):
                    raise result
                envelope = handler.enclose(result, item)
                sealed = sealer.seal(Kind.RESULT, run.grant.id, run.options.type, envelope)
            except BaseException as error:
                ending = self._endings.raised(run, error, handler.backoff)
                settled.append((run.ordinal, ending))
            else:
                settled.append((run.ordinal, self._completed(run, sealed, sealer, ended)))
        return settled

    def _completed(self, run: Run, sealed: bytes, sealer: Sealer, ended: float) -> Outcome:
        if len(sealed) > sealer.inline:
            try:
                sealed = answered(sent_result(run.grant.id, sealed), self._channel.call)
            except BaseException as error:
                return self._endings.unopened(run, error)
        return run.completed(sealed, ended)

    def _settle(self, runs: list[Run], settled: Settled) -> None:
        if self._channel.any_cancelled:
            for run in runs:
                self._channel.forget(run.grant.id)
        self._channel.outbox.add_all(settled, time.monotonic())

    def _context(self, runs: list[Run]) -> BatchContext:
        return BatchContext(self._channel, [(run.grant, run.options) for run in runs])

    def _opened(self, handler: JobType, run: Run) -> Any:
        grant, options = run.grant, run.options
        sealer = self._sealer or need(None, options.key)
        return handler.item(plain_of(grant, options, sealer, self._channel.call))


def _goes_alone(run: Run) -> bool:
    """Whether it is the last of several attempts: what ended the others is not to end this one."""
    return 1 < run.options.max_attempts <= run.grant.attempt


def _alike(one: Options, other: Options) -> bool:
    """Whether jobs of these options can share a call: one handler, and one time limit for it."""
    return (one.type, one.code, one.timeout, one.batch > 0) == (
        other.type, other.code, other.timeout, other.batch > 0,
    )  # fmt: skip


def _each(line: deque[Run]) -> Iterator[Run]:
    """Take out one after another, whoever else does so."""
    while line:
        try:
            run = line.popleft()
        except IndexError:
            return
        yield run
