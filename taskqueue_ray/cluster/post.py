"""What an executor in Ray is told at its start: small, plain, and without secrets of the queue."""

import msgspec

from taskqueue_ray.core.blobs import INLINE
from taskqueue_ray.engine.logs import Format, Level


class Post(msgspec.Struct, frozen=True, array_like=True):
    """Where it reports, and what it may import.

    `worker` is the actor's name, `address` the socket of the worker's machine, `token` opens both.
    """

    worker: str
    address: str
    token: bytes
    app: tuple[str, ...] = ()
    import_paths: tuple[str, ...] = ()
    key_file: str | None = None
    max_result: int = 1 << 20
    max_batch: int = 10_000
    inline: int = INLINE
    log_level: Level = "info"
    log_format: Format = "text"


encode_post = msgspec.msgpack.Encoder().encode
decode_post = msgspec.msgpack.Decoder(Post).decode
