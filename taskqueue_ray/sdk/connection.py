"""`tq.connect`: finding or starting the queue."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.configuration import configure, keyring_of
from taskqueue_ray.engine.context import current_or_none
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.workforce import Workforce, terms_of

if TYPE_CHECKING:
    from taskqueue_ray.cluster.bootstrap import Connection


def connect(
    storage: str | Path | None = None,
    *,
    name: str | None = None,
    address: str | None = None,
    **settings: Any,
) -> TaskQueue:
    """Connect to a queue: attach to the owner of its storage, or become it.

    `storage` is a folder (default: one of the queue's name in `~/.local/share/taskqueue-ray`).
    `address` names the Ray cluster; "local" starts one of our own. More settings (`max_payload`,
    …) as in `core.settings`. Without a running cluster a local one is started, and lives as long
    as this program. Inside a running job this is the line of its executor. Raises
    `OwnedElsewhere`, `StorageUnusable`, `KeyMissing`, `InvalidSetting`.

    >>> with tq.connect("/data/queue") as q:  # doctest: +SKIP
    ...     q.enqueue(send_email, "a@b.c")
    """
    context = current_or_none()
    if context is not None:
        from taskqueue_ray.sdk.inside import inside

        return inside(context.channel).connect()
    if storage is not None and not isinstance(storage, str | Path):
        raise InvalidOption("storage", ascii(storage)[:80], "a folder, or the URL of one")
    if "encryption_keys" in settings:
        raise InvalidOption(
            "encryption_keys",
            "keys in code",
            "nothing: set TASKQUEUE_ENCRYPTION_KEYS, or a key file, on each node",
        )
    given = {"storage": storage, "name": name, "address": address, **settings}
    return attach(configure(given))[0]


def attach(settings: Settings) -> "tuple[TaskQueue, Connection]":
    """`connect` with resolved settings; also says what was found, or started, on Ray."""
    keyring = keyring_of(settings, create=True)
    assert keyring is not None  # made, if there was none
    from taskqueue_ray.cluster import bootstrap
    from taskqueue_ray.cluster.examining import examine_connected

    found = bootstrap.connect(settings)
    settings = replace(settings, max_batch=found.ping.settings.get("max_batch", settings.max_batch))
    queue = TaskQueue(
        found.handle,
        Sealer(keyring, max_size=settings.max_payload, inline=settings.inline_payload),
        location=found.location,
        start_workers=partial(Workforce, found.handle, settings),
        examine=partial(examine_connected, found.handle, settings, found.location),
        on_close=found.close,
        max_batch=settings.max_batch,
        terms=partial(terms_of, settings),
        timezone=settings.timezone,
    )
    return queue, found
