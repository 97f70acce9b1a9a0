"""What opens payloads and seals results in an executor."""

import os

from taskqueue_ray.core.blobs import INLINE
from taskqueue_ray.core.errors import InvalidKey, KeyMissing
from taskqueue_ray.core.exchange import Grant
from taskqueue_ray.core.model import Options
from taskqueue_ray.engine.keyring import load_keyring
from taskqueue_ray.engine.payload import Kind, Sealer


def sealer_of_process(max_size: int, inline: int = INLINE) -> Sealer | None:
    """A sealer with the keys of this process's environment or key file; None without any.

    Raises `InvalidKey` for a malformed one.
    """
    keyring = load_keyring(os.environ)
    return None if keyring is None else Sealer(keyring, max_size=max_size, inline=inline)


def find_sealer(max_size: int, inline: int = INLINE) -> Sealer | None:
    """The same, with a malformed key treated as none: its jobs are released, not failed."""
    try:
        return sealer_of_process(max_size, inline)
    except InvalidKey:
        return None


def need(sealer: Sealer | None, key_id: str) -> Sealer:
    """The sealer, or `KeyMissing` in the name of what asked for it."""
    if sealer is None:
        raise KeyMissing(key_id or "unknown", [])
    return sealer


def opened(grant: Grant, options: Options, sealer: Sealer) -> bytes:
    """The checkpoint of an earlier run. Raises `KeyMissing` and `SealBroken`.

    Before the job begins, as its payload: that a key is missing here is not the job's fault.
    """
    return sealer.open(Kind.CHECKPOINT, grant.id, options.type, grant.checkpoint or b"")
