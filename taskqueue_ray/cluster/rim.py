"""Where the actors meet Ray: their own identity, their settings, the death of others."""

import asyncio
import logging
import os
from contextlib import suppress

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayError
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from taskqueue_ray.cluster.config import NAMESPACE
from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.configuration import configure

NODE_LABEL = "ray.io/node-id"
_UNREACHABLE_TRIES = 5
_NO_ACTOR, _DIED = "no actor of its name is left", "its actor died"
FOR_GOOD = frozenset((_NO_ACTOR, _DIED))
"""Reasons why a worker is gone for which Ray does not start it anew."""

log = logging.getLogger(__name__)


def node_id() -> str:
    """The Ray node that this process is on."""
    return str(ray.get_runtime_context().get_node_id())


def is_restarted() -> bool:
    """Whether Ray has started this actor anew."""
    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def remember_serving(location: str) -> None:
    """Note, for as long as this cluster lives, that a queue is served from there."""
    try:
        _internal_kv_put(_served(location), b"1", overwrite=True)
    except RayError as error:
        log.warning("a later opening will not know that %s was served: %s", location, error)


def was_served(location: str) -> bool:
    """Whether an actor of this cluster has served a queue from there, and came to no orderly end.

    Raises `Unavailable` when the cluster does not say.
    """
    try:
        return _internal_kv_get(_served(location)) is not None
    except RayError as error:
        raise Unavailable(f"the Ray cluster does not answer: {error}") from error


def forget_serving(location: str) -> None:
    """The queue there has ended in good order."""
    with suppress(RayError):
        _internal_kv_del(_served(location))


def _served(location: str) -> bytes:
    return f"taskqueue:served:{location}".encode()


def settings(key_file: str | None) -> Settings:
    """The settings as this node has them."""
    return configure({"key_file": key_file} if key_file else None)


async def until_worker_is_gone(actor: str, worker: str) -> str:
    """Return, with the reason, when that incarnation of a worker actor has ended."""
    unreachable = 0
    while True:
        try:
            handle = await asyncio.to_thread(ray.get_actor, actor, NAMESPACE)
            if await handle.incarnation.remote() != worker:
                return "it was restarted"
            unreachable = 0
            await handle.watch.remote()
            return "it has left"
        except ValueError:
            return _NO_ACTOR
        except ActorDiedError:
            return _DIED
        except (ActorUnavailableError, RayActorError):
            # The process ended, or the network did not let us through: ask who is there now.
            unreachable += 1
            if unreachable > _UNREACHABLE_TRIES:
                return "it cannot be reached"
            await asyncio.sleep(0.2 * unreachable)


def end_actor() -> None:
    """End this actor for good: Ray does not start it anew. Blocks."""
    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)


def end_process() -> None:
    """End this process at once. Ray starts the actor anew, unless it already runs elsewhere.

    Not `ray.kill`: it goes by the actor's id, and would hit the successor of a fenced process.
    """
    os._exit(1)
