"""One long-poll of a client learns for all its handles how their jobs ended."""

import secrets
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import NamedTuple

import msgspec

from taskqueue_ray.core.errors import JobNotFound, QueueClosed, Unavailable, UnknownSession
from taskqueue_ray.core.exchange import Ended, JobView, WatchReply, WatchRequest
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.transport import Answer, Transport

HOLD = 2.0
"""Seconds that the queue holds a watch. After such a silence everything is asked again: the queue
may have restarted, or an answer may have been lost."""

LINGER = 2.0
"""Seconds for which a client that has waited stays on watch: who waits once, waits again."""

COURTESY = 0.001
"""Seconds that it leaves to those who were told an end, when nobody else waits."""

MAX_EARLY = 10_000
"""Ends that are kept for futures which may still be asked for."""

MAX_ADD = 10_000
MAX_PAST = 500
_BACK_OFF = 0.2
_ASKED_AGAIN = 10_000  # ids a second
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(WatchReply).decode


class _Call(NamedTuple):
    """A watch that is on its way, or held."""

    request: WatchRequest
    answer: Answer


class Session(NamedTuple):
    """A session that stands: how a job enqueued for it ends is told without being asked for."""

    client: str
    number: int


class Watcher:
    """Futures of how jobs end. Its thread runs only while somebody waits, and a little longer."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._client = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._asked = threading.Condition(self._lock)
        self._waiting: dict[JobId, Future[Ended]] = {}
        self._added: list[JobId] = []
        self._sequence = 0
        self._reset = True
        self._thread: threading.Thread | None = None
        self._call: _Call | None = None
        self._nudges: list[Answer] = []
        self._began_at = 0.0
        self._session = 0
        self._adopted: set[JobId] = set()
        self._early: dict[JobId, Ended] = {}
        self._waited_at = 0.0
        self._closed = False

    def future(self, job_id: JobId) -> "Future[Ended]":
        """A future of how this job ends; always the same one while it is open."""
        return self.futures((job_id,))[0]

    def futures(self, ids: Iterable[JobId]) -> "list[Future[Ended]]":
        """The same for many at once."""
        with self._lock:
            if self._closed:
                raise QueueClosed("this connection was closed")
            found = [self._waiting.get(job_id) or self._add(job_id) for job_id in ids]
            self._waited_at = time.monotonic()
            if self._call is None and self._waiting:
                self._begin()
                return found
        self._nudge()
        return found

    def standing(self) -> Session | None:
        """The session on watch now, for jobs that are about to be enqueued."""
        with self._lock:
            if self._thread is None or self._reset:
                return None
            return Session(self._client, self._session)

    def adopt(self, job_id: JobId, session: Session) -> None:
        """The queue watches this job for that session already."""
        with self._lock:
            if session.number == self._session and job_id not in self._early:
                self._adopted.add(job_id)

    def close(self) -> None:
        """Everyone who waits gets `QueueClosed`. Returns when the thread has ended.

        A thread that still waited for Ray would crash a program that shuts Ray down next.
        """
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, {}
            thread = self._thread
            if self._call is not None:
                self._end_call()
            self._asked.notify()
        for future in waiting.values():
            _settle(future, QueueClosed("this connection was closed"))
        if thread is not None and thread is not threading.current_thread():
            thread.join(HOLD + 1.0)

    def _end_call(self) -> None:
        """Overtake the held call by one that is not held."""
        self._added = []
        with suppress(Exception):  # a queue that is gone holds nothing
            request = WatchRequest(self._client, self._sequence + 1, [])
            self._nudges.append(self._transport.submit("watch", _encode(request)))

    def _add(self, job_id: JobId) -> "Future[Ended]":
        future: Future[Ended] = Future()
        if end := self._early.pop(job_id, None):
            _settle(future, end)
            return future
        self._waiting[job_id] = future
        if job_id in self._adopted:
            self._adopted.remove(job_id)
        else:
            self._added.append(job_id)
        return future

    def _begin(self) -> None:
        """Ask from this thread: while the other one wakes up, the question is on its way."""
        self._ask()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="taskqueue-watch", daemon=True)
            self._thread.start()
        else:
            self._asked.notify()

    def _ask(self) -> _Call:
        request = self._next(HOLD)
        self._call = call = _Call(request, self._transport.submit("watch", _encode(request)))
        return call

    def _nudge(self) -> None:
        """A watch that is held knows nothing of what was added since: overtake it by another."""
        with self._lock:
            if self._call is None or not self._added or self._closed:
                return
            request = self._next(0.0)
            self._nudges.append(self._transport.submit("watch", _encode(request)))

    def _run(self) -> None:
        try:
            while call := self._next_call():
                self._take(*call)
        except Exception as problem:  # as in `_take`
            with self._lock:
                self._thread = self._call = None
            self._fail_all(problem)

    def _next_call(self) -> _Call | None:
        """The call to wait for; None, and the end, when nobody has waited for a while."""
        with self._lock:
            if not self._waiting:
                # Those who were just told go first: a call made now would be in their way.
                self._asked.wait_for(lambda: self._call or self._closed, COURTESY)
            if self._closed or not self._is_wanted():
                self._thread = None
                self._reset = True  # the queue forgets a session that nobody asks for
                self._early.clear()
                return None
            return self._call or self._ask()

    def _is_wanted(self) -> bool:
        now = time.monotonic()
        if self._waiting:
            self._waited_at = now
        return bool(self._waiting) or now - self._waited_at < LINGER

    def _next(self, hold: float) -> WatchRequest:
        self._sequence += 1
        if self._reset:
            self._added = list(self._waiting)
            self._adopted.clear()
            self._session += 1
            self._began_at = time.monotonic()
        # What is beyond one request follows at once.
        part, self._added = self._added[:MAX_ADD], self._added[MAX_ADD:]
        reset, self._reset = self._reset, False
        wait = 0.0 if self._added else hold
        return WatchRequest(self._client, self._sequence, part, reset, wait)

    def _take(self, request: WatchRequest, answer: Answer) -> None:
        try:
            ended = _decode(answer.result(HOLD + 10.0)).ended
            nudges = self._take_nudges()
            for nudge in nudges:
                ended += _decode(nudge.result(HOLD + 10.0)).ended
        except UnknownSession:
            self._begin_again()
            return
        except (Unavailable, FutureTimeout):
            self._begin_again()
            time.sleep(_BACK_OFF)
            return
        except Exception as problem:  # nobody else would tell those who wait
            self._fail_all(problem)
            return
        finally:
            with self._lock:
                self._call = None
        if ended:
            self._settle(ended)
        if nudges:
            self._add_again(request.add)
        elif not ended and request.wait > 0 and self._may_begin_again():
            self._begin_again()  # a hold that ended by itself

    def _take_nudges(self) -> list[Answer]:
        with self._lock:
            nudges, self._nudges = self._nudges, []
        return nudges

    def _add_again(self, ids: list[JobId]) -> None:
        """A nudge that came before the call it was to end made the queue ignore that call."""
        with self._lock:
            self._added += [job_id for job_id in ids if job_id in self._waiting]

    def _may_begin_again(self) -> bool:
        """Not more often than the size of what is asked again allows."""
        return time.monotonic() - self._began_at >= len(self._waiting) / _ASKED_AGAIN

    def _begin_again(self) -> None:
        with self._lock:
            self._reset = True

    def _settle(self, ended: list[Ended]) -> None:
        whole = [end for end in ended if end.known and end.state is not None]
        gone = [end for end in ended if not (end.known and end.state is not None)]
        with self._lock:
            settled = [(self._waiting.pop(end.id, None), end) for end in whole]
            self._early.update((end.id, end) for future, end in settled if future is None)
            self._adopted.difference_update(end.id for end in whole)
            while len(self._early) > MAX_EARLY:
                del self._early[next(iter(self._early))]
        for future, end in settled:
            if future is not None:
                _settle(future, end)
        for start in range(0, len(gone), MAX_PAST):
            self._look_back(gone[start : start + MAX_PAST])

    def _look_back(self, gone: list[Ended]) -> None:
        """Memory no longer has these: the history may."""
        request = requests.past([end.id for end in gone])
        try:
            found = {
                view.id: view
                for view in request.read(self._transport.call(request.method, request.body))
            }
        except Unavailable:
            self._begin_again()
            return
        except Exception as problem:  # as above
            self._fail_all(problem)
            return
        with self._lock:
            settled = [(self._waiting.pop(end.id, None), found.get(end.id)) for end in gone]
        for (future, view), end in zip(settled, gone, strict=True):
            if future is not None:
                missing = JobNotFound(to_text(end.id))
                _settle(future, missing if view is None else as_ended(view))

    def _fail_all(self, problem: BaseException) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._reset = True
        for future in waiting.values():
            _settle(future, problem)


def as_ended(view: JobView) -> Ended:
    """How a job ended, from its record."""
    return Ended(
        view.id,
        JobState(view.state),
        True,
        view.result,
        view.reason,
        view.attempts,
        view.history[-1].failure if view.history else None,
        view.options.type,
    )


def _settle(future: "Future[Ended]", outcome: Ended | BaseException) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
