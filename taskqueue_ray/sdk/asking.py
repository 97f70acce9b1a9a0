"""Questions of a connection to the queue, and what names a job in them."""

from collections.abc import Iterable
from typing import Any, TypeVar

from taskqueue_ray.core.errors import QueueClosed
from taskqueue_ray.core.identity import from_text, to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.opening import Opener
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.sdk.requests import Request
from taskqueue_ray.sdk.transport import Transport

T = TypeVar("T")
AnyId = str | bytes | JobHandle[Any] | JobRecord

IN_HISTORY = (JobState.COMPLETED, JobState.CANCELLED, JobState.EXPIRED)
"""The states of jobs that leave memory for the history."""


class Asking:
    """A connection as far as it asks and is answered."""

    def __init__(self, transport: Transport, sealer: Sealer) -> None:
        self.opener = Opener(sealer, call=transport.call)
        self._transport = transport
        self._closed = False

    def _ask(self, request: Request[T]) -> T:
        self._check_open()
        return request.read(self._transport.call(request.method, request.body))

    async def _aask(self, request: Request[T]) -> T:
        self._check_open()
        return request.read(await self._transport.acall(request.method, request.body))

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosed("this connection was closed")


def raw_id(id: AnyId) -> JobId:
    """The bytes of an id, however it is given."""
    return from_text(getattr(id, "id", id))


def raw_ids(ids: Iterable[AnyId]) -> list[JobId]:
    """Those of several."""
    return [raw_id(one) for one in ids]


def texts(ids: Iterable[JobId]) -> list[str]:
    """Ids as users see them."""
    return [to_text(one) for one in ids]
