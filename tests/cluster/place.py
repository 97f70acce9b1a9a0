"""One storage of a test on the shared Ray: connecting to it, and leaving it in good order."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

import taskqueue_ray as tq
from taskqueue_ray.cluster.config import NAMESPACE, queue_actor_name
from taskqueue_ray.core.envelopes import decode, open_reply, seal_call
from taskqueue_ray.core.exchange import Ping
from tests.cluster import processes
from tests.cluster.patience import eventually


class Place:
    """A folder, a key and the clients that a test opened on them."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "queue"
        self.key_file = base / "key"
        self.witness = base / "witness"
        self._clients: list[tq.TaskQueue] = []

    @property
    def actor_name(self) -> str:
        return queue_actor_name(str(self.folder))

    def connect(self, **settings: Any) -> tq.TaskQueue:
        """A client of the queue in this place."""
        client = tq.connect(self.folder, key_file=str(self.key_file), **settings)
        self._clients.append(client)
        return client

    def actor(self) -> Any:
        """The queue actor. Raises `ValueError` when there is none."""
        return ray.get_actor(self.actor_name, NAMESPACE)

    def ping(self) -> Ping:
        """What the queue actor says of itself."""
        return decode(open_reply(ray.get(self.actor().ping.remote(), timeout=60.0)), Ping)

    def is_recovering(self) -> bool:
        """Whether the actor is there and has not opened its storage."""
        with suppress(RayError):
            return self.ping().recovering
        return False

    def call(self, method: str, request: bytes = b"\xc0") -> bytes:
        """One request to the queue, as a worker or a client sends it."""
        return open_reply(
            ray.get(self.actor().call.remote(seal_call(method, request)), timeout=60.0)
        )

    def shut_down(self) -> None:
        """End the queue in good order, if it is there."""
        try:
            actor = self.actor()
        except ValueError:
            return
        ray.get(actor.shutdown.remote(), timeout=60.0)
        ray.kill(actor, no_restart=True)

    def leave(self) -> None:
        """Close what was opened; then no actor, no executor and no lock may be left."""
        for client in self._clients:
            client.close()
        try:
            eventually(lambda: not self._actors("worker:"), "no worker is left", within=15.0)
            self.shut_down()
            try:
                eventually(lambda: not self._actors(""), "no actor is left", within=15.0)
            except AssertionError as problem:
                problem.add_note(f"{self._actors('')}, of which {self.actor_name} is the queue's")
                raise
        finally:
            self._clear()
        eventually(lambda: not processes.executors(), "no executor is left", within=10.0)
        eventually(lambda: processes.folder_is_free(self.folder), "the lock is free", within=10.0)

    def _clear(self) -> None:
        """The tests that follow must not suffer from what this one left."""
        for name in self._actors(""):
            with suppress(ValueError):
                ray.kill(ray.get_actor(name, NAMESPACE), no_restart=True)

    @staticmethod
    def _actors(prefix: str) -> list[str]:
        actors = list_named_actors(all_namespaces=True)
        return [actor["name"] for actor in actors if actor["name"].startswith(prefix)]


def worker_pids(q: tq.TaskQueue) -> list[int]:
    """The process ids of the workers that the queue knows."""
    return [worker.pid for worker in q.worker_health()]
