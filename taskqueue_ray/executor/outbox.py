"""What an executor has to say and has not sent yet."""

import os
import socket
import threading

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.exchange import Outcome, Progress, Save
from taskqueue_ray.core.model import JobId
from taskqueue_ray.executor.messages import Done, Progressed, Report, Saved, frame
from taskqueue_ray.executor.saves import Saves

FLUSH = 0.005
"""Seconds that an outcome may wait for company."""

CROWD = 128
"""Outcomes that are sent without waiting for more, so that the worker can refill in time."""

PROGRESS = 0.1
"""Seconds between two reports of progress."""


class Outbox:
    """Gathers outcomes and progress, and sends them together. Any thread may use it.

    On the plain path a finished job costs one append: its thread sends when `FLUSH` has passed
    since the last time, and the channel's thread, woken through `waker`, when job code keeps it
    from doing so.
    """

    def __init__(self, channel: socket.socket, waker: int) -> None:
        self._channel = channel
        self._waker = waker
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._runs: list[tuple[int, Outcome]] = []
        self._progress: dict[JobId, Progress] = {}
        self._saves: Saves | None = None  # most jobs have no checkpoints
        self._due = 0.0
        self._progress_due = 0.0
        self._armed = False

    def add(self, ordinal: int, outcome: Outcome, now: float) -> None:
        """Take in an outcome, and send when it is time."""
        if self._saves is not None:
            with self._lock:
                self._saves.ended(outcome)
        self._runs.append((ordinal, outcome))
        if now >= self._due or len(self._runs) >= CROWD:
            self.flush(now)
        elif not self._armed:
            self._arm()

    def add_all(self, runs: list[tuple[int, Outcome]], now: float) -> None:
        """Take in the outcomes of one call. They are sent in one message, and never apart."""
        self._runs += runs
        if now >= self._due or len(self._runs) >= CROWD:
            self.flush(now)
        elif not self._armed:
            self._arm()

    def report(self, job_id: JobId, progress: Progress) -> None:
        """Take in progress; only a job's latest is sent."""
        self._progress[job_id] = progress
        if not self._armed:
            self._arm()

    def save(self, save: Save, now: float) -> None:
        """Take in a checkpoint: it is sent before this returns, or a second after the last one."""
        self._check_process()
        with self._lock:
            if self._saves is None:
                self._saves = Saves()
            wait = self._saves.add(save, now)
            if wait == 0.0:
                self._flush_saves(self._saves, now)
            elif wait is not None:
                # Not as outcomes do it: they must not wait for as long as this.
                os.eventfd_write(self._waker, 1)

    def forget(self, job_id: JobId) -> None:
        """The job ended: its progress no longer matters."""
        if self._progress:
            self._progress.pop(job_id, None)

    def wait(self, now: float) -> float | None:
        """Seconds until something must be sent; None when there is nothing."""
        if self._runs:
            return max(0.0, self._due - now)
        wait = max(0.0, self._progress_due - now) if self._progress else None
        if self._saves is not None:
            with self._lock:
                due = self._saves.wait(now)
            wait = due if wait is None or (due is not None and due < wait) else wait
        return wait

    def flush(self, now: float) -> None:
        """Send what there is."""
        with self._lock:
            self._armed = False
            # Another thread may append meanwhile: take what is seen, and cut exactly that off.
            runs = self._runs[:]
            del self._runs[: len(runs)]
            self._due = now + FLUSH
            if self._saves is not None:
                self._flush_saves(self._saves, now)
            if runs:
                self._send(Done(runs))
            if self._progress and now >= self._progress_due:
                self._flush_progress(now)

    def send(self, report: Report) -> None:
        """Send one message at once."""
        self._check_process()
        with self._lock:
            self._send(report)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise InvalidRequest("a process that a job forked has no line to the queue")

    def _flush_saves(self, saves: Saves, now: float) -> None:
        if taken := saves.take(now):
            self._send(Saved(taken))

    def _flush_progress(self, now: float) -> None:
        reports = []
        while self._progress:
            reports.append(self._progress.popitem())
        self._progress_due = now + PROGRESS
        self._send(Progressed(reports))

    def _send(self, report: Report) -> None:
        self._channel.sendall(frame(report))

    def _arm(self) -> None:
        self._armed = True
        os.eventfd_write(self._waker, 1)
