"""`taskqueue work`: workers that run jobs until they are told to stop."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Annotated

import typer

from taskqueue_ray.cli.opening import client, look_for, settings_of
from taskqueue_ray.cli.options import Address, Storage, worker_range
from taskqueue_ray.cli.render import say
from taskqueue_ray.cli.work_screen import Look, Screen, open_screen
from taskqueue_ray.core.errors import QueueClosed, TaskQueueError
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import QueueRecord
from taskqueue_ray.sdk.workforce import Workforce

LOOK = 0.5
"""Seconds between two looks at the queue."""

PATIENCE = 86_400.0
TERM_PATIENCE = 25.0
"""Seconds that running jobs get after SIGTERM; service managers kill soon after."""

SOON = timedelta(minutes=1)
"""A burst waits for jobs that are due within this time: retries, above all."""


class Stop:
    """Counts the requests to stop. The first one drains, the second one gives back."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.hurried = threading.Event()
        self.patience = PATIENCE

    def on_signal(self, number: int, _frame: FrameType | None = None) -> None:
        """A handler of SIGINT and SIGTERM."""
        if self.asked.is_set():
            self.hurried.set()
        if number == signal.SIGTERM:
            self.patience = min(self.patience, TERM_PATIENCE)
        self.asked.set()


def work(
    queues: Annotated[list[str] | None, typer.Argument(metavar="[QUEUE]...")] = None,
    *,
    workers: Annotated[
        str | None, typer.Option("--workers", "-w", metavar="N|MIN:MAX", help="How many")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", help="Executors of each worker")
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(metavar="MB", help="Replace an executor that has grown by so much"),
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Replace an executor after so many jobs")
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Run time of jobs that name none")
    ] = None,
    cancel_grace: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time to stop of jobs that are cancelled")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when nothing is left to do")] = False,
    app: Annotated[
        list[str] | None, typer.Option(metavar="MODULE", help="Defines jobs [TASKQUEUE_APP]")
    ] = None,
    storage: Storage = None,
    address: Address = None,
) -> None:
    """Run the jobs of these queues (of all, when none is named) until Ctrl-C."""
    names = tuple(check_name("queue", name) for name in queues or ())
    least, most = worker_range(workers) if workers else (None, None)
    settings = settings_of(
        storage, address, concurrency=concurrency, memory_limit=memory, max_jobs=max_jobs,
        timeout=timeout, app=app or None, min_workers=least, max_workers=most,
        cancel_grace=cancel_grace,
    )  # fmt: skip
    look_for(settings.app)
    stop = Stop()
    say("starting …", "dim")
    with client(settings, output=True) as (found, connection), _signals(stop):
        force = found.workers(names, min=settings.min_workers, max=settings.max_workers)
        before = _served(found, names)
        _start(force, stop)
        say(f"queue: {found.location}")
        if connection.started_ray:
            say("this program has started the queue, which ends with it", "dim")
        with open_screen(_title(names, settings), before) as screen:
            shift = _Shift(found, names, screen, stop)
            finished = shift.until_told(burst=burst)
            shift.leave(force, finished=finished)


class _Shift:
    """From the first look at the queue to the end of the workers."""

    def __init__(
        self, found: TaskQueue, names: tuple[str, ...], screen: Screen, stop: Stop
    ) -> None:
        self._found = found
        self._names = names
        self._screen = screen
        self._stop = stop

    def until_told(self, *, burst: bool) -> bool:
        """Show what happens until somebody stops it; True when a burst had nothing left to do."""
        while not self._stop.asked.wait(LOOK):
            with self._tolerance():
                records = self._look()
                if burst and not any(_has_work(self._found, one) for one in records):
                    return True
        return False

    def leave(self, force: Workforce, *, finished: bool) -> None:
        """Drain; a further request to stop, or an end of patience, gives back what runs."""
        if not finished:
            self._screen.note("draining: running jobs end, the others go back; Ctrl-C leaves now")
        began = time.monotonic()
        thread = threading.Thread(target=force.drain, args=(PATIENCE,), daemon=True)
        thread.start()
        while thread.is_alive() and not self._stop.hurried.wait(0.1):
            if time.monotonic() - began > self._stop.patience:
                break
            thread.join(LOOK)
            with self._tolerance():
                self._look()
        if thread.is_alive():
            self._screen.note("giving back what runs")
            force.give_back()
            thread.join(5.0)
        with self._tolerance():
            self._look()
        self._screen.summary()

    def _look(self) -> list[QueueRecord]:
        records = _served(self._found, self._names)
        workers = list(self._found.worker_health())
        self._screen.show(Look(time.monotonic(), records, workers))
        return records

    @contextmanager
    def _tolerance(self) -> Iterator[None]:
        """A queue that is away comes back; one that is closed does not."""
        try:
            yield
        except QueueClosed:
            raise
        except TaskQueueError as error:
            self._screen.trouble(f"the queue does not answer now: {error}")


def _served(found: TaskQueue, names: tuple[str, ...]) -> list[QueueRecord]:
    return [one for one in found.stats() if not names or one.queue in names]


def _has_work(found: TaskQueue, queue: QueueRecord) -> bool:
    """Whether something runs, can run, or is due soon."""
    if queue.pending or queue.processing:
        return True
    if not queue.scheduled:
        return False
    soon = datetime.now(UTC) + SOON
    later = found.jobs(state=JobState.SCHEDULED, queue=queue.queue, limit=1_000)
    return any(one.due_at is None or one.due_at <= soon for one in later)


def _start(force: Workforce, stop: Stop) -> None:
    """Start the workers; a signal meanwhile is obeyed as soon as they are up."""
    force.start()
    if stop.hurried.is_set():
        force.give_back()


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Let signals ask for the end, not cause it; once all is over, as before."""
    before = {number: signal.signal(number, stop.on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _title(names: tuple[str, ...], settings: Settings) -> str:
    least, most = settings.min_workers, settings.max_workers
    count = str(least) if least == most else f"{least} to {most}"
    served = ", ".join(names) or "all queues"
    return f"{count} workers of concurrency {settings.concurrency} for {served}"
