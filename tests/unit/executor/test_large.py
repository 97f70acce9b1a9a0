"""Payloads and results too large for the journal, through the line of a real executor."""

from hashlib import sha256
from random import Random
from typing import Any

import msgspec
import pytest

from taskqueue_ray.core.blobs import (
    CHUNK,
    REFERENCE_SIZE,
    Blob,
    BlobPart,
    BlobWanted,
    make_reference,
)
from taskqueue_ray.core.errors import BlobLost, StorageFull, TaskQueueError, Unavailable
from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.engine.registry import registry
from tests.unit.executor.lab import Lab, lab


class Store:
    """The queue's part of it, in memory."""

    def __init__(self, it: Lab) -> None:
        self.blobs: dict[Blob, bytearray] = {}
        self.error: TaskQueueError | None = None
        self.only = ""
        it.answer = self.answer

    async def answer(self, method: str, request: bytes) -> bytes:
        if self.error is not None and method.startswith(self.only):
            raise self.error
        if method == "put_blob":
            part = msgspec.msgpack.decode(request, type=BlobPart)
            kept = self.blobs.setdefault(part.blob, bytearray())
            kept[part.offset :] = part.data
            return msgspec.msgpack.encode(len(kept))
        wanted = msgspec.msgpack.decode(request, type=BlobWanted)
        found = self.blobs.get(wanted.blob)
        if found is None:
            raise BlobLost(wanted.blob.kind, wanted.blob.job.hex(), "it is gone")
        return msgspec.msgpack.encode(bytes(found[wanted.offset :][:CHUNK]))

    def grant(self, it: Lab, name: str, value: Any) -> Any:
        """A grant of which only a reference is sent."""
        type_name = f"sample.{name}"
        grant = it.grant(type_name, registry.get(type_name).binder.bind((value,), {}))
        digest = sha256(grant.payload).digest()
        self.blobs[Blob(grant.id, "payload", digest)] = bytearray(grant.payload)
        reference = make_reference(digest, len(grant.payload))
        return msgspec.structs.replace(grant, payload=reference)

    def result(self, it: Lab, outcome: Any, name: str) -> Any:
        """What the job returned, of which only a reference came."""
        assert outcome.kind is OutcomeKind.COMPLETED, it.words(outcome, name)
        assert len(outcome.result) == REFERENCE_SIZE
        return self.result_of(it, outcome, name)

    def result_of(self, it: Lab, outcome: Any, name: str) -> Any:
        """The same where several have sent results."""
        [sealed] = [
            bytes(data)
            for blob, data in self.blobs.items()
            if (blob.kind, blob.job) == ("result", outcome.id)
        ]
        assert make_reference(sha256(sealed).digest(), len(sealed)) == outcome.result
        return it.opened(msgspec.structs.replace(outcome, result=sealed), name)


def text(size: int) -> str:
    """Text that compresses to half of its size."""
    return Random(size).randbytes(size // 2).hex()


@pytest.mark.parametrize("name", ["echo", "async_echo"])
@lab()
async def test_there_and_back(it: Lab, name: str) -> None:
    store = Store(it)
    grant = store.grant(it, name, text(6_000_000))
    it.executors.submit([it.options(name)], [grant])
    assert store.result(it, await it.outcome(grant.id), name) == text(6_000_000)
    methods = [method for method, _ in it.calls]
    assert (methods.count("get_blob"), methods.count("put_blob")) == (2, 2)


@pytest.mark.parametrize("name", ["echo", "async_echo"])
@lab()
async def test_what_is_small_makes_no_call(it: Lab, name: str) -> None:
    assert await it.result(name, text(100_000)) == text(100_000)
    assert it.calls == []


@lab(inline=2048)
async def test_the_bound_is_the_workers(it: Lab) -> None:
    store = Store(it)
    assert store.result(it, await it.run("echo", text(10_000)), "echo") == text(10_000)


@pytest.mark.parametrize("name", ["echo", "async_echo"])
@lab()
async def test_a_payload_that_is_gone_is_a_failed_attempt(it: Lab, name: str) -> None:
    store = Store(it)
    grant = store.grant(it, name, text(400_000))
    store.blobs.clear()
    it.executors.submit([it.options(name)], [grant])
    outcome = await it.outcome(grant.id)
    assert outcome.kind is OutcomeKind.ERRORED
    assert outcome.failure is not None
    assert outcome.failure.error_type.endswith("BlobLost")
    assert "it is gone" in it.words(outcome, name).message
    assert await it.result(name, "goes on") == "goes on"


@pytest.mark.parametrize("name", ["echo", "async_echo"])
@lab()
async def test_a_queue_that_cannot_answer_is_no_fault_of_the_job(it: Lab, name: str) -> None:
    store = Store(it)
    store.error = Unavailable("it restarts")
    grant = store.grant(it, name, text(400_000))
    it.executors.submit([it.options(name)], [grant])
    assert (await it.outcome(grant.id)).kind is OutcomeKind.RELEASED
    store.only = "put"
    grant = store.grant(it, name, text(400_000))
    it.executors.submit([it.options(name)], [grant])
    assert (await it.outcome(grant.id)).kind is OutcomeKind.RELEASED


@pytest.mark.parametrize("name", ["echo", "async_echo"])
@lab()
async def test_a_full_disk(it: Lab, name: str) -> None:
    """A result that the journal can take goes there; a larger one fails the attempt and says so."""
    store = Store(it)
    store.error, store.only = StorageFull("here"), "put"
    assert await it.result(name, text(400_000)) == text(400_000)
    refused = await it.run(name, text(4_000_000))
    assert refused.kind is OutcomeKind.ERRORED
    assert "no space left" in it.words(refused, name).message
