"""Talking to the queue actor: bytes in, bytes out, repeated until there is an answer.

Repeating is safe because every request carries ids of its own. Ray's task retries are not used:
they may run a call twice and out of order.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    GetTimeoutError,
    RayActorError,
    RaySystemError,
)

from taskqueue_ray.cluster.config import NAMESPACE
from taskqueue_ray.core.envelopes import open_reply, seal_call
from taskqueue_ray.core.errors import (
    CommitUnknown,
    NodeFenced,
    QueueClosed,
    TaskQueueError,
    Unavailable,
    UnknownSession,
)

PATIENCE = 60.0
"""Seconds for which a call is repeated when the caller sets no limit."""

LOOK = 1.0
"""Seconds between two looks, during a call, at whether the cluster still lives."""

_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5)

Reconnect = Callable[[], Any]
"""Gives the actor's handle anew, creating the actor if it must; raises `QueueClosed`."""


class QueueHandle:
    """The queue actor of a storage, by name."""

    def __init__(self, name: str, reconnect: Reconnect | None = None) -> None:
        self.name = name
        self._reconnect = reconnect or (lambda: find_actor(name))
        # The bound method, not the actor: Ray makes a new one at each look-up.
        self._remote_call: Any = None
        self._ended = ""
        self._looks = False

    def call(self, method: str, request: bytes, timeout: float | None = None) -> bytes:
        """The encoded reply. Blocks, and repeats while the queue is unavailable.

        Raises the error with which the request was refused; `Unavailable` when `timeout` seconds
        (default 60) brought no answer, and `QueueClosed` when there is no queue any more.
        """
        for last, left in _until(timeout):
            try:
                return open_reply(self.reply(self._send(method, request), left))
            except REPEATABLE as error:
                pause = self._after(error, last)
            time.sleep(pause)
        raise AssertionError("unreachable")

    async def acall(
        self,
        method: str,
        request: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  # as `call`, whose repeats it bounds
    ) -> bytes:
        """`call` for coroutines."""
        for last, left in _until(timeout):
            try:
                return open_reply(await self._areply(self._send(method, request), left))
            except (*REPEATABLE, TimeoutError) as error:
                pause = self._after(error, last)
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    def submit(self, method: str, request: bytes) -> "Sent":
        """Send without waiting."""
        return Sent(self, method, request, self._send(method, request))

    def close(self) -> None:
        """Calls from now on, and repeats of earlier ones, raise `QueueClosed`.

        The actor belongs to the cluster and stays; a repeat must not bring back one that ended.
        """
        self._ended = "this connection was closed"

    def expect_end(self) -> None:
        """The cluster may end before this program: look for `abandon` while calls wait."""
        self._looks = True

    def abandon(self, reason: str) -> None:
        """The cluster has ended: calls, waiting ones too, raise `QueueClosed` within `LOOK`."""
        self._ended = reason

    def reply(self, ref: Any, seconds: float) -> bytes:
        """Wait for the answer of a call. Raises what Ray does, or `QueueClosed`."""
        for left in self._waits(seconds):
            try:
                return bytes(ray.get(ref, timeout=left))
            except GetTimeoutError as error:
                late = error
        raise late

    async def _areply(self, ref: Any, seconds: float) -> bytes:
        if not self._looks:
            # Fewer turns of the loop than below: every exchange of a worker comes this way.
            async with asyncio.timeout(seconds):
                return bytes(await ref)
        answer = asyncio.ensure_future(ref)
        try:
            for left in self._waits(seconds):
                done, _ = await asyncio.wait((answer,), timeout=left)
                if done:
                    return bytes(answer.result())
        finally:
            answer.cancel()
        raise TimeoutError

    def _waits(self, seconds: float) -> Iterator[float]:
        """Parts of a wait, each of which begins only while the connection is open."""
        deadline = time.monotonic() + seconds
        left = seconds
        while left > 0:
            self._check_open()
            yield min(left, LOOK) if self._looks else left
            left = deadline - time.monotonic()

    def _check_open(self) -> None:
        if self._ended:
            raise QueueClosed(self._ended)

    def _send(self, method: str, request: bytes) -> Any:
        self._check_open()
        if not ray.is_initialized():
            raise QueueClosed("the connection to the Ray cluster has gone")
        if self._remote_call is None:
            self._remote_call = self._reconnect().call
        return self._remote_call.remote(seal_call(method, request))

    def _after(self, error: Exception, last: int) -> float:
        """The pause before the next try, or the error when there is none."""
        if isinstance(error, ActorDiedError):
            self._remote_call = None
        elif isinstance(error, (UnknownSession, NodeFenced)):
            raise error
        if last < 0:
            if isinstance(error, TaskQueueError):
                raise error
            raise Unavailable("its actor did not answer in time") from error
        return _PAUSES[min(last, len(_PAUSES) - 1)]


REPEATABLE = (
    ActorUnavailableError,
    RayActorError,
    RaySystemError,
    GetTimeoutError,
    Unavailable,
    CommitUnknown,
)


class Sent:
    """A call on its way; asked for its result, it is waited for, and repeated if need be."""

    def __init__(self, handle: QueueHandle, method: str, request: bytes, ref: Any) -> None:
        self._handle = handle
        self._method = method
        self._request = request
        self._ref = ref

    def result(self, timeout: float | None = None) -> bytes:
        """As `QueueHandle.call`."""
        try:
            return open_reply(self._handle.reply(self._ref, timeout or PATIENCE))
        except REPEATABLE:
            return self._handle.call(self._method, self._request, timeout)


def find_actor(name: str) -> Any:
    """The handle of a named actor. Raises `QueueClosed` when there is none."""
    try:
        return ray.get_actor(name, NAMESPACE)
    except ValueError:
        raise QueueClosed("its actor is not in this Ray cluster") from None


def _until(timeout: float | None) -> Iterator[tuple[int, float]]:
    """Numbers of tries, -1 for the last, each with the seconds that are left for it."""
    deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
    attempt = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 1.0:
            yield -1, max(left, 0.1)
        yield attempt, left
        attempt += 1
