"""Checkpoints in an executor: merged, sent before the outcome, there for the next run."""

import socket
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest

from taskqueue_ray.core.exchange import Grant, OutcomeKind, Save
from taskqueue_ray.core.model import JobId
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.engine.values import encode_value
from taskqueue_ray.executor.messages import Done, Frames, Report, Saved, decode_report
from taskqueue_ray.executor.outbox import Outbox
from tests.records import job_id, outcome
from tests.unit.executor.lab import Lab, lab


class Line(NamedTuple):
    """An outbox and the worker's end of its channel."""

    outbox: Outbox
    worker: socket.socket
    waker: socket.socket

    def heard(self) -> list[Report]:
        try:
            data = self.worker.recv(1 << 20)
        except BlockingIOError:
            return []
        return [decode_report(body) for body in Frames().feed(data)]

    def saved(self) -> list[tuple[JobId, int]]:
        return [
            (save.id, save.number)
            for report in self.heard()
            if isinstance(report, Saved)
            for save in report.saves
        ]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    ours, theirs = socket.socketpair()
    waker, other = socket.socketpair()
    monkeypatch.setattr("os.eventfd_write", lambda _fd, _one: other.send(b"!"))
    theirs.setblocking(False)
    waker.setblocking(False)
    yield Line(Outbox(ours, 0), theirs, waker)
    for one in (ours, theirs, waker, other):
        one.close()


ONE, TWO = job_id(1), job_id(2)


def _save(one: JobId, number: int) -> Save:
    return Save(one, 7, 8, number, b"sealed")


def test_the_first_is_sent_at_once_and_the_others_one_a_second(line: Line) -> None:
    outbox = line.outbox
    outbox.save(_save(ONE, 1), 100.0)
    assert line.saved() == [(ONE, 1)], "sent when `checkpoint` returns"
    for number in range(2, 1000):
        outbox.save(_save(ONE, number), 100.0 + number / 2000)
    assert line.saved() == []
    assert outbox.wait(100.25) == pytest.approx(0.75)
    outbox.flush(100.9)
    assert line.saved() == []
    outbox.flush(101.0)
    assert line.saved() == [(ONE, 999)]
    assert outbox.wait(101.0) is None
    outbox.save(_save(ONE, 1000), 102.0)
    assert line.saved() == [(ONE, 1000)]


def test_each_job_has_its_own_second(line: Line) -> None:
    outbox = line.outbox
    outbox.save(_save(ONE, 1), 100.0)
    outbox.save(_save(TWO, 2), 100.4)
    assert line.saved() == [(ONE, 1), (TWO, 2)]
    outbox.save(_save(TWO, 3), 100.5)
    outbox.save(_save(ONE, 4), 100.6)
    assert outbox.wait(100.6) == pytest.approx(0.4)
    outbox.flush(101.0)
    assert line.saved() == [(ONE, 4)]


def test_the_channels_thread_is_woken_for_what_waits(line: Line) -> None:
    line.outbox.save(_save(ONE, 1), 100.0)
    for number in (2, 3, 4):
        line.outbox.save(_save(ONE, number), 100.1)
    assert line.waker.recv(100) == b"!", "once: the later ones take the place of the first"


def test_an_outcome_does_not_wait_as_long_as_a_checkpoint(line: Line) -> None:
    outbox = line.outbox
    outbox.flush(100.0)
    outbox.save(_save(ONE, 1), 100.0)
    outbox.save(_save(ONE, 2), 100.0)
    line.waker.recv(100)
    outbox.add(1, outcome(_grant(TWO)), 100.001)
    assert line.waker.recv(100) == b"!"
    assert outbox.wait(100.001) == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (OutcomeKind.ERRORED, True),
        (OutcomeKind.SNOOZED, True),
        (OutcomeKind.RELEASED, True),
        (OutcomeKind.COMPLETED, False),
    ],
)
def test_the_last_one_goes_before_the_outcome(line: Line, kind: OutcomeKind, sent: bool) -> None:
    outbox = line.outbox
    outbox.save(_save(ONE, 1), 100.0)
    outbox.save(_save(ONE, 2), 100.1)
    line.heard()
    outbox.add(1, outcome(_grant(ONE), kind), 100.2)
    reports = line.heard()
    assert [type(one) for one in reports] == ([Saved, Done] if sent else [Done])
    if sent:
        assert reports[0] == Saved([_save(ONE, 2)])
    outbox.flush(200.0)
    assert line.heard() == []


def test_one_that_was_overtaken_among_threads_is_not_sent_last(line: Line) -> None:
    line.outbox.save(_save(ONE, 1), 100.0)
    line.outbox.save(_save(ONE, 3), 100.1)
    line.outbox.save(_save(ONE, 2), 100.1)
    line.saved()
    line.outbox.flush(101.0)
    assert line.saved() == [(ONE, 3)]


def _grant(one: JobId) -> Grant:
    return Grant(one, 7, 8, 1, 0, b"")


# --- in real executors ------------------------------------------------------------------------


@lab()
async def test_a_run_that_fails_has_saved_its_last(it: Lab) -> None:
    for name in ("saves_and", "async_saves_and"):
        for what in ("fails", "snoozes"):
            it.saves.clear()
            job = it.submit(name, what, 500)
            await it.outcome(job)
            assert it.checkpoint(it.saves[-1], name) == 500
            assert len(it.saves) <= 3, "merged"
            assert {(save.id, save.delivery, save.lease) for save in it.saves} == {(job, 7, 8)}


@lab()
async def test_an_executor_that_is_killed_has_sent_what_was_due(it: Lab) -> None:
    dead = await it.run("saves_and", "dies", 1)
    assert dead.failure is not None
    assert dead.failure.error_type == "SIGKILL"
    assert [it.checkpoint(save, "saves_and") for save in it.saves] == [1]


@lab()
async def test_the_rest_follows_within_its_second(it: Lab) -> None:
    job = it.submit("saves_and", "waits", 50)
    await it.until(lambda: len(it.saves) > 1, "the second checkpoint")
    assert [it.checkpoint(save, "saves_and") for save in it.saves] == [1, 50]
    it.executors.cancel([job])


def _resumed(it: Lab, name: str, value: object, sealer: Sealer | None = None) -> JobId:
    its = it.options(name)
    grant = it.grant(its.type, registry.get(its.type).binder.bind(("returns", 0), {}))
    sealed = (sealer or it.sealer).seal(Kind.CHECKPOINT, grant.id, its.type, encode_value(value))
    it.executors.submit([its], [msgspec.structs.replace(grant, checkpoint=sealed)])
    return grant.id


@lab()
async def test_the_next_run_begins_with_it(it: Lab) -> None:
    for name in ("saves_and", "async_saves_and"):
        outcome = await it.outcome(_resumed(it, name, 42))
        assert it.opened(outcome, name) == 42


@lab()
async def test_a_key_that_is_missing_here_is_not_the_jobs_fault(it: Lab) -> None:
    stranger = Sealer(Keyring([Key(bytes(32))]))
    outcome = await it.outcome(_resumed(it, "saves_and", 42, stranger))
    assert outcome.kind is OutcomeKind.RELEASED
