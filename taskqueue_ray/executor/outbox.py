"""What an executor has to say and has not sent yet."""

import os
import socket
import threading

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.exchange import Outcome, Progress
from taskqueue_ray.core.model import JobId
from taskqueue_ray.executor.messages import Done, Progressed, Report, frame

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
        self._due = 0.0
        self._progress_due = 0.0
        self._armed = False

    def add(self, ordinal: int, outcome: Outcome, now: float) -> None:
        """Take in an outcome, and send when it is time."""
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

    def forget(self, job_id: JobId) -> None:
        """The job ended: its progress no longer matters."""
        if self._progress:
            self._progress.pop(job_id, None)

    def wait(self, now: float) -> float | None:
        """Seconds until something must be sent; None when there is nothing."""
        if self._runs:
            return max(0.0, self._due - now)
        if self._progress:
            return max(0.0, self._progress_due - now)
        return None

    def flush(self, now: float) -> None:
        """Send what there is."""
        with self._lock:
            self._armed = False
            # Another thread may append meanwhile: take what is seen, and cut exactly that off.
            runs = self._runs[:]
            del self._runs[: len(runs)]
            self._due = now + FLUSH
            if runs:
                self._send(Done(runs))
            if self._progress and now >= self._progress_due:
                self._flush_progress(now)

    def send(self, report: Report) -> None:
        """Send one message at once."""
        if os.getpid() != self._process:
            raise InvalidRequest("a process that a job forked has no line to the queue")
        with self._lock:
            self._send(report)

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
