"""What a handler enqueues is bounded by its worker's configuration, not by its surroundings."""

import msgspec

from taskqueue_ray.cluster.config import WorkerConfig
from taskqueue_ray.cluster.worker_actor import environment_of
from taskqueue_ray.core.blobs import BlobPart
from taskqueue_ray.core.envelopes import encode
from taskqueue_ray.core.events import decode_batch
from taskqueue_ray.core.exchange import EnqueueReply
from tests.unit.executor.lab import KEYRING, Lab, lab

CONFIG = WorkerConfig("w", "queue", (), 1, max_result=2048, max_batch=3)


async def _accept(_method: str, _request: bytes) -> bytes:
    return encode(EnqueueReply(1))


@lab(environment=environment_of(CONFIG, KEYRING))
async def test_what_a_handler_enqueues(it: Lab) -> None:
    it.answer = _accept
    assert await it.result("enqueue_trials", 7, 10) == 7
    # Calls that are on their way together may overtake each other.
    assert sorted(len(decode_batch(body).jobs) for _, body in it.calls) == [1, 3, 3]
    refused = await it.run("enqueue_trials", 1, 3000)
    assert refused.failure is not None
    assert refused.failure.error_type.endswith("PayloadTooLarge")
    assert "2,048" in it.words(refused, "enqueue_trials").message


@lab(
    environment=environment_of(
        msgspec.structs.replace(CONFIG, inline=1024, max_result=8192), KEYRING
    )
)
async def test_what_of_it_is_kept_beside_the_journal(it: Lab) -> None:
    async def answer(method: str, request: bytes) -> bytes:
        if method != "put_blob":
            return encode(EnqueueReply(1))
        part = msgspec.msgpack.decode(request, type=BlobPart)
        return encode(part.offset + len(part.data))

    it.answer = answer
    assert await it.result("enqueue_trials", 1, 6000) == 1
    assert [method for method, _ in it.calls] == ["put_blob", "enqueue"]
