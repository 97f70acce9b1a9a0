import threading

import pytest

from taskqueue_ray.core.errors import InvalidOption, InvalidRequest
from taskqueue_ray.core.exchange import Progress
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.model import JobId, Options
from taskqueue_ray.engine.context import (
    Cancel,
    Context,
    Fail,
    Retry,
    Snooze,
    activate,
    current,
    current_or_none,
    deactivate,
)

JOB = make_job_id(1_800_000_000.0, bytes(9))


class Recording:
    def __init__(self) -> None:
        self.said: list[tuple[JobId, Progress]] = []

    def progress(self, job_id: JobId, progress: Progress) -> None:
        self.said.append((job_id, progress))

    def cancelled(self, job_id: JobId) -> bool:
        return job_id == JOB

    def call(self, method: str, request: bytes) -> bytes:
        return request

    async def acall(self, method: str, request: bytes) -> bytes:
        return request


def test_a_job_learns_of_itself_and_speaks() -> None:
    channel = Recording()
    token = activate(Context(channel, JOB, Options("mail", "app.job", tags=("x",)), 2))
    try:
        context = current()
        context.progress(3, 10, "third")
        assert channel.said == [(JOB, Progress(3.0, 10.0, "third"))]
        assert (context.attempt, context.queue, context.cancelled) == (2, "mail", True)
        assert (context.job.id, context.job.type, context.job.tags) == (
            JOB.hex(),
            "app.job",
            ("x",),
        )
        assert "attempt 2" in repr(context)
    finally:
        deactivate(token)
    assert current_or_none() is None


def test_outside_of_a_job_there_is_no_context() -> None:
    with pytest.raises(InvalidRequest, match="running job"):
        current()


def test_a_thread_does_not_see_the_context_of_another() -> None:
    token = activate(Context(Recording(), JOB, Options("mail", "app.job"), 1))
    seen: list[object] = []
    try:
        thread = threading.Thread(target=lambda: seen.append(current_or_none()))
        thread.start()
        thread.join()
    finally:
        deactivate(token)
    assert seen == [None]


def test_control_flow() -> None:
    assert Snooze("5m").seconds == 300.0
    assert Retry(delay="1h").seconds == 3600.0
    assert Retry("busy").seconds is None
    assert str(Fail("broken")) == "broken"
    assert Cancel("obsolete").reason == "obsolete"
    with pytest.raises(InvalidOption):
        Snooze(-1)
