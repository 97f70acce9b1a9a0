import threading
from concurrent.futures import Future

import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.errors import InvalidArguments, InvalidRequest, QueueFull
from taskqueue_ray.sdk.client import TaskQueue
from tests.inprocess import Bench, HostTransport
from tests.unit.sdk.jobs_for_tests import Resize, send


class Gate(HostTransport):
    """Holds enqueues until it is opened."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.host)
        self.opened = threading.Event()
        self.batches = 0

    def submit(self, method: str, request: bytes) -> "Future[bytes]":
        if method != "enqueue":
            return super().submit(method, request)
        self.batches += 1
        answer: Future[bytes] = Future()

        def later() -> None:
            self.opened.wait()
            try:
                answer.set_result(self.host.serve(method, request).result())
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=later, daemon=True).start()
        return answer


@pytest.fixture
def gate(bench: Bench) -> Gate:
    return Gate(bench)


@pytest.fixture
def q(bench: Bench, gate: Gate) -> TaskQueue:
    return TaskQueue(gate, bench.sealer, is_current=False)


def _enqueue_one(q: TaskQueue, handles: list[tq.JobHandle[str]]) -> None:
    with q.pipeline() as p:
        handles.append(p.enqueue(send, "a"))


def _fail_after_one(q: TaskQueue) -> None:
    with q.pipeline() as p:
        _ = p.enqueue(send, "a")
        raise ZeroDivisionError


def test_all_is_durable_at_the_end(bench: Bench) -> None:
    with bench.q.pipeline() as p:
        handles = [p.enqueue(send, str(i)) for i in range(1234)]
        handles.append(p.push(Resize({"path": "x"})))
    assert all(handle.durable for handle in handles)
    assert bench.q.stats("mail").pending == 1234


def test_batches_are_no_larger_than_the_queue_takes(bench: Bench) -> None:
    """Its limit may be below the size that batches have else: that is no reason to refuse any."""
    q = TaskQueue(bench.transport, bench.sealer, is_current=False, max_batch=3)
    bench.host.asked.clear()
    q.enqueue_many(send.item(str(n)) for n in range(7))
    assert bench.host.asked == ["enqueue"] * 3
    with q.pipeline() as p:
        for n in range(7):
            _ = p.enqueue(send, str(n))
    assert bench.host.asked.count("enqueue") >= 6
    assert q.stats("mail").pending == 14


def test_enqueueing_does_not_wait(q: TaskQueue, gate: Gate, bench: Bench) -> None:
    with q.pipeline() as p:
        handles = [p.enqueue(send, str(i)) for i in range(1000)]
        assert not handles[0].durable
        gate.opened.set()
        p.flush()
        assert all(handle.durable for handle in handles)
        assert gate.batches <= 4
    bench.work(rounds=50)
    assert tq.gather(handles, timeout=30)[-1] == "999: "


def test_what_is_wrong_with_a_call_is_said_at_once(bench: Bench) -> None:
    with bench.q.pipeline() as p:
        with pytest.raises(InvalidArguments):
            _ = p.enqueue(send, 5)
        good = p.enqueue(send, "a")
    assert good.durable


def test_what_the_queue_refuses_surfaces_at_the_end(
    q: TaskQueue, gate: Gate, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(method: str, request: bytes) -> "Future[bytes]":
        answer: Future[bytes] = Future()
        answer.set_exception(QueueFull("mail", 1))
        return answer

    monkeypatch.setattr(bench.host, "serve", refuse)
    gate.opened.set()
    handles: list[tq.JobHandle[str]] = []
    with pytest.raises(QueueFull):
        _enqueue_one(q, handles)
    (handle,) = handles
    with pytest.raises(QueueFull):
        handle.wait(30)
    assert not handle.durable


def test_an_error_of_the_block_is_not_hidden(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        _fail_after_one(bench.q)
    assert len(bench.q.jobs()) == 1


def test_outside_of_its_block_a_pipeline_takes_nothing(bench: Bench) -> None:
    p = bench.q.pipeline()
    with pytest.raises(InvalidRequest, match="block"):
        _ = p.enqueue(send, "a")
    with p:
        _ = p.enqueue(send, "a")
    with pytest.raises(InvalidRequest, match="block"):
        _ = p.enqueue(send, "b")


def test_many_threads_share_one(bench: Bench) -> None:
    with bench.q.pipeline() as p:

        def some(number: int) -> None:
            for i in range(300):
                _ = p.enqueue(send, f"{number}-{i}")

        threads = [threading.Thread(target=some, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stats = bench.q.stats("mail")
    assert stats.total == 1200
