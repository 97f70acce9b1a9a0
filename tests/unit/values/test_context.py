import threading

import pytest

from taskqueue_ray.core.errors import (
    InvalidOption,
    InvalidRequest,
    PayloadTooLarge,
    SealBroken,
    Unserialisable,
)
from taskqueue_ray.core.exchange import Grant, Progress, Save
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
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Kind, Sealer

JOB = make_job_id(1_800_000_000.0, bytes(9))
MAIL = Options("mail", "app.job")
GRANT = Grant(JOB, 7, 8, 1, 0, b"")
SEALER = Sealer(Keyring([Key(bytes(32))]))


class Recording:
    def __init__(self) -> None:
        self.said: list[tuple[JobId, Progress]] = []
        self.saves: list[Save] = []

    def progress(self, job_id: JobId, progress: Progress) -> None:
        self.said.append((job_id, progress))

    def save(self, save: Save) -> None:
        self.saves.append(save)

    def cancelled(self, job_id: JobId) -> bool:
        return job_id == JOB

    def call(self, method: str, request: bytes) -> bytes:
        return request

    async def acall(self, method: str, request: bytes) -> bytes:
        return request


def test_a_job_learns_of_itself_and_speaks() -> None:
    channel = Recording()
    token = activate(
        Context(
            channel, Grant(JOB, 7, 8, 2, 0, b""), Options("mail", "app.job", tags=("x",)), SEALER
        )
    )
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
    token = activate(Context(Recording(), GRANT, MAIL, SEALER))
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


def _context(channel: Recording, saved: bytes | None = None, limit: int = 1024) -> Context:
    sealer = Sealer(Keyring([Key(bytes(32))]), max_size=limit)
    return Context(channel, GRANT, MAIL, sealer, saved)


def test_a_checkpoint_is_sealed_for_its_job_before_it_leaves() -> None:
    channel = Recording()
    context = _context(channel)
    value = {"page": 7, "seen": ("a", "secret")}
    context.checkpoint(value)
    (save,) = channel.saves
    assert (save.id, save.delivery, save.lease) == (JOB, 7, 8)
    assert b"secret" not in save.sealed
    sealer = Sealer(Keyring([Key(bytes(32))]))
    saved = sealer.open(Kind.CHECKPOINT, JOB, "app.job", save.sealed)
    assert _context(channel, saved).checkpoint() == value
    for kind, origin, name in (
        (Kind.PAYLOAD, JOB, "app.job"),
        (Kind.CHECKPOINT, bytes(16), "app.job"),
        (Kind.CHECKPOINT, JOB, "app.other"),
    ):
        with pytest.raises(SealBroken):
            sealer.open(kind, origin, name, save.sealed)


def test_what_was_saved_last_is_read_back() -> None:
    channel = Recording()
    context = _context(channel)
    assert context.checkpoint() is None
    before = context.has_checkpoint
    value = [1]
    context.checkpoint(value)
    value.append(2)
    assert context.checkpoint() == [1], "as it was when it was saved"
    context.checkpoint(None)
    assert context.checkpoint() is None
    assert (before, context.has_checkpoint) == (False, True), "a stored None is something"
    assert channel.saves[0].number < channel.saves[1].number


def test_what_cannot_be_saved_is_refused_and_leaves_the_last_one() -> None:
    channel = Recording()
    context = _context(channel)
    context.checkpoint("good")
    with pytest.raises(PayloadTooLarge, match=r"checkpoint of app\.job"):
        context.checkpoint(b"x" * 2000)
    with pytest.raises(Unserialisable):
        context.checkpoint({"open": object()})
    assert context.checkpoint() == "good"
    assert len(channel.saves) == 1
