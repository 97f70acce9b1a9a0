"""Where the actors meet Ray: their own identity, tasks on their node, the death of others."""

import asyncio
import os
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError

from taskqueue_ray.cluster import tasks
from taskqueue_ray.cluster.config import NAMESPACE
from taskqueue_ray.core.envelopes import decode
from taskqueue_ray.core.exchange import JobView
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.configuration import configure
from taskqueue_ray.storage.filesystem import FileSystem, LocalFileSystem
from taskqueue_ray.storage.publication import FoldRequest, FoldResult

NODE_LABEL = "ray.io/node-id"
_UNREACHABLE_TRIES = 5


def node_id() -> str:
    """The Ray node that this process is on."""
    return str(ray.get_runtime_context().get_node_id())


def settings(key_file: str | None) -> Settings:
    """The settings as this node has them."""
    return configure({"key_file": key_file} if key_file else None)


async def fold(location: str, fs: FileSystem, request: FoldRequest) -> FoldResult:
    """Fold in a process of its own on this node; a memory storage only in this one."""
    if not isinstance(fs, LocalFileSystem):
        return await asyncio.to_thread(tasks.fold_here, fs, request)
    data = await _on_this_node(tasks.fold_folder, "taskqueue:fold", location, request)
    return decode(data, FoldResult)


async def read_history(
    location: str, fs: FileSystem, since: float, columns: list[str] | None
) -> bytes:
    """History rows from `since` on, in Arrow's stream format."""
    if not isinstance(fs, LocalFileSystem):
        return await asyncio.to_thread(tasks.history_here, fs, since, columns)
    task = tasks.history_folder
    return bytes(await _on_this_node(task, "taskqueue:history", location, since, columns))


async def find_past(location: str, fs: FileSystem, ids: list[JobId]) -> list[JobView]:
    """Jobs that only history knows."""
    if not isinstance(fs, LocalFileSystem):
        return await asyncio.to_thread(tasks.past_here, fs, ids)
    data = await _on_this_node(tasks.past_folder, "taskqueue:past", location, ids)
    return decode(data, list[JobView])


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
        except ValueError:
            return "no actor of its name is left"
        except ActorDiedError:
            return "its actor died"
        except (ActorUnavailableError, RayActorError):
            # The process ended, or the network did not let us through: ask who is there now.
            unreachable += 1
            if unreachable > _UNREACHABLE_TRIES:
                return "it cannot be reached"
            await asyncio.sleep(0.2 * unreachable)


def end_process() -> None:
    """End this process at once. Ray starts the actor anew, unless it already runs elsewhere.

    Not `ray.kill`: it goes by the actor's id, and would hit the successor of a fenced process.
    """
    os._exit(1)


async def _on_this_node(function: Any, name: str, *arguments: Any) -> Any:
    # By label, not by affinity: an affinity fails for good when the node is gone.
    task = ray.remote(function).options(
        name=name,
        num_cpus=0,
        max_retries=1,
        max_calls=1,  # see tasks.fold_folder; the others are rare and leave no Parquet behind
        label_selector={NODE_LABEL: node_id()},
    )
    return await task.remote(*arguments)
