"""The watcher against a transport that is told what to answer, call by call."""

import queue
import threading
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest

from taskqueue_ray.core.errors import (
    JobNotFound,
    QueueClosed,
    Recovering,
    TaskQueueError,
    UnknownSession,
)
from taskqueue_ray.core.exchange import Ended, WatchReply, WatchRequest
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.sdk import watcher as module
from taskqueue_ray.sdk.transport import Answer, done
from taskqueue_ray.sdk.watcher import Watcher

A, B, C = (make_job_id(1_800_000_000.0, bytes([n] * 9)) for n in range(3))


def completed(job_id: JobId) -> Ended:
    return Ended(job_id, JobState.COMPLETED)


def watching_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "taskqueue-watch"}


class Held:
    """An answer that `Scripted.answer` gives."""

    def __init__(self, answers: "queue.Queue[bytes | BaseException]") -> None:
        self.open = True
        self._answers = answers

    def result(self, timeout: float | None = None) -> bytes:
        answer = self._answers.get(timeout=30)
        self.open = False
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Scripted:
    """Implements `Transport`. `next_call` is the request that waits; `answer` answers it."""

    def __init__(self) -> None:
        self._requests: queue.Queue[WatchRequest] = queue.Queue()
        self._answers: queue.Queue[bytes | BaseException] = queue.Queue()
        self._held: list[Held] = []
        self.nudges: list[WatchRequest] = []
        self.past: list[Any] = []

    def next_call(self) -> WatchRequest:
        return self._requests.get(timeout=30)

    def answer(self, *ended: Ended, error: TaskQueueError | None = None) -> None:
        self._answers.put(error or msgspec.msgpack.encode(WatchReply(0, list(ended))))

    def call(self, method: str, request: bytes, timeout: float | None = None) -> bytes:
        if method == "past":
            return msgspec.msgpack.encode(self.past)
        raise NotImplementedError

    async def acall(
        self,
        method: str,
        request: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # as in the protocol
    ) -> bytes:
        raise NotImplementedError

    def submit(self, method: str, request: bytes) -> Answer:
        asked = msgspec.msgpack.decode(request, type=WatchRequest)
        if any(held.open for held in self._held):
            self.nudges.append(asked)
            if not asked.add:
                self.answer()  # it asks nothing: it is there to end the held call
            return done(msgspec.msgpack.encode(WatchReply(0, [])))
        self._requests.put(asked)
        self._held.append(Held(self._answers))
        return self._held[-1]

    def close(self) -> None:
        pass


@pytest.fixture
def line() -> Scripted:
    return Scripted()


@pytest.fixture
def watcher(line: Scripted) -> Watcher:
    return Watcher(line)


def test_the_first_call_begins_a_session_and_the_next_ones_continue_it(
    watcher: Watcher, line: Scripted
) -> None:
    first, second = watcher.futures([A, B])
    call = line.next_call()
    assert (call.add, call.reset) == ([A, B], True)
    line.answer(completed(A))
    assert first.result(30).id == A
    call = line.next_call()
    assert (call.add, call.reset) == ([], False)
    line.answer(completed(B))
    assert second.result(30).id == B


def test_what_is_asked_while_a_call_is_held_overtakes_it(watcher: Watcher, line: Scripted) -> None:
    watcher.future(A)
    held = line.next_call()
    late = watcher.future(B)
    (nudge,) = line.nudges
    assert (nudge.add, nudge.wait) == ([B], 0.0)
    assert nudge.sequence > held.sequence
    line.answer()
    call = line.next_call()
    assert not call.reset
    line.answer(completed(A), completed(B))
    assert late.result(30).id == B


def test_what_a_call_asked_that_was_overtaken_too_early_is_asked_again(
    watcher: Watcher, line: Scripted
) -> None:
    between: list[Future[Ended]] = []
    watcher.future(A).add_done_callback(lambda _: between.append(watcher.future(B)))
    line.next_call()
    line.answer(completed(A))
    assert line.next_call().add == [B]
    last = watcher.future(C)
    line.answer()  # the queue took the nudge first, and ignored the call
    assert B in line.next_call().add
    line.answer(completed(B), completed(C))
    assert last.result(30).id == C
    assert between[0].result(30).id == B


@pytest.mark.parametrize("error", [UnknownSession("x"), Recovering("5 s")])
def test_a_queue_that_has_forgotten_is_asked_everything_again(
    watcher: Watcher, line: Scripted, monkeypatch: pytest.MonkeyPatch, error: TaskQueueError
) -> None:
    monkeypatch.setattr(module, "_BACK_OFF", 0.0)
    futures = watcher.futures([A, B])
    line.next_call()
    line.answer(error=error)
    call = line.next_call()
    assert (call.add, call.reset) == ([A, B], True)
    line.answer(completed(A), completed(B))
    assert [future.result(30).id for future in futures] == [A, B]


def test_after_a_silence_everything_is_asked_again(
    watcher: Watcher, line: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ASKED_AGAIN", float("inf"))
    future = watcher.future(A)
    line.next_call()
    line.answer()
    call = line.next_call()
    assert (call.add, call.reset) == ([A], True)
    line.answer(completed(A))
    assert future.result(30).id == A


def test_what_is_too_much_for_one_call_follows_at_once(
    watcher: Watcher, line: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ADD", 2)
    futures = watcher.futures([A, B, C])
    call = line.next_call()
    assert (call.add, call.wait) == ([A, B], 0.0)
    line.answer()
    call = line.next_call()
    assert (call.add, call.reset, call.wait) == ([C], False, module.HOLD)
    line.answer(*map(completed, (A, B, C)))
    assert [future.result(30).id for future in futures] == [A, B, C]


def test_an_end_that_is_told_twice_counts_once(watcher: Watcher, line: Scripted) -> None:
    future = watcher.future(A)
    line.next_call()
    line.answer(completed(A), completed(A))
    assert future.result(30).id == A


def test_what_nobody_knows_is_not_found(watcher: Watcher, line: Scripted) -> None:
    future = watcher.future(A)
    line.next_call()
    line.answer(Ended(A, None, known=False))
    with pytest.raises(JobNotFound):
        future.result(30)


def test_an_error_reaches_everyone_who_waits(watcher: Watcher, line: Scripted) -> None:
    futures = watcher.futures([A, B])
    line.next_call()
    line.answer(error=QueueClosed("it has gone"))
    for future in futures:
        with pytest.raises(QueueClosed):
            future.result(30)


def test_closing_lets_everyone_go(watcher: Watcher, line: Scripted) -> None:
    future = watcher.future(A)
    line.next_call()
    watcher.close()
    with pytest.raises(QueueClosed):
        future.result(30)
    with pytest.raises(QueueClosed):
        watcher.future(B)
    line.answer()


def test_who_waits_stays_on_watch_for_what_is_enqueued_next(
    watcher: Watcher, line: Scripted
) -> None:
    first = watcher.future(A)
    line.next_call()
    session = watcher.standing()
    assert session is not None
    watcher.adopt(B, session)
    line.answer(completed(A))
    assert first.result(timeout=30) == completed(A)
    second = watcher.future(B)
    call = line.next_call()
    assert (call.add, call.reset) == ([], False)  # the queue watches it already
    line.answer(completed(B))
    assert second.result(timeout=30) == completed(B)


def test_who_was_told_goes_first_and_the_session_stands(
    watcher: Watcher, line: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COURTESY", 3600.0)  # nothing but being asked ends it
    first = watcher.future(A)
    session = watcher.standing()
    line.next_call()
    line.answer(completed(A))
    assert first.result(30).id == A
    assert watcher.standing() == session
    second = watcher.future(B)
    call = line.next_call()
    assert (call.add, call.reset, call.sequence) == ([B], False, 2)  # the second call of all
    line.answer(completed(B))
    assert second.result(30).id == B


def test_a_session_that_nobody_asks_for_ends_with_its_thread(
    watcher: Watcher, line: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.0)
    before = watching_threads()
    watcher.future(A)
    line.next_call()
    (thread,) = watching_threads() - before
    line.answer(completed(A))
    thread.join(30)
    assert not thread.is_alive()
    assert watcher.standing() is None
    watcher.future(B)
    assert line.next_call().reset
    line.answer(completed(B))


def test_closing_ends_a_thread_that_nobody_waits_for(
    watcher: Watcher, line: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COURTESY", 3600.0)
    before = watching_threads()
    first = watcher.future(A)
    line.next_call()
    line.answer(completed(A))
    first.result(30)
    (thread,) = watching_threads() - before
    watcher.close()
    assert not thread.is_alive()


def test_an_end_that_comes_before_anyone_asks_is_kept(watcher: Watcher, line: Scripted) -> None:
    first = watcher.future(A)
    line.next_call()
    session = watcher.standing()
    assert session is not None
    line.answer(completed(B), completed(A))
    assert first.result(30) == completed(A)
    watcher.adopt(B, session)
    assert watcher.future(B).result(timeout=30) == completed(B)


def test_a_session_that_was_begun_anew_has_adopted_nothing(
    watcher: Watcher, line: Scripted
) -> None:
    watcher.future(A)
    line.next_call()
    session = watcher.standing()
    assert session is not None
    line.answer(error=UnknownSession("c"))
    line.next_call()
    watcher.adopt(B, session)
    watcher.future(B)
    assert [nudge.add for nudge in line.nudges] == [[B]]
