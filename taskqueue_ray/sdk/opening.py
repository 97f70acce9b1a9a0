"""Sealed parts of a job in the clear, where a key and the job's type are at hand."""

from collections.abc import Callable
from typing import Any, NamedTuple

from taskqueue_ray.core.blobs import REFERENCE_SIZE, BlobKind
from taskqueue_ray.core.errors import KeyMissing, SealBroken, TaskQueueError, UnknownJobType
from taskqueue_ray.core.model import Failure, JobId
from taskqueue_ray.engine.carrying import fetched
from taskqueue_ray.engine.headers import arguments_of
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Kind, Sealer, decode_value, open_error
from taskqueue_ray.engine.registry import Registry, registry
from taskqueue_ray.engine.results import open_payload_after, open_value
from taskqueue_ray.executor.inputs import answered

Call = Callable[[str, bytes], bytes]


class Problem(NamedTuple):
    """What went wrong in an attempt."""

    cause: str
    error_type: str
    message: str
    traceback: str


class Opener:
    """Opens with one sealer. Every method raises `KeyMissing` or `SealBroken`.

    What is large is fetched with `call`, which asks the queue; `BlobLost` when it is gone.
    """

    def __init__(
        self, sealer: Sealer | None, known: Registry = registry, *, call: Call | None = None
    ) -> None:
        self._sealer = sealer
        self._call = call
        self._registry = known

    def arguments(self, job_id: JobId, type_name: str, sealed: bytes) -> dict[str, Any]:
        """The arguments by name, as plain values; `*` and `**` hold the variadic ones."""
        plain = self._open(Kind.PAYLOAD, job_id, type_name, sealed)
        values: dict[str, Any] = decode_value(arguments_of(plain))
        return values

    def result(
        self, job_id: JobId, type_name: str, sealed: bytes, job_type: JobType | None = None
    ) -> Any:
        """What the job returned, in its declared type where the job is known here."""
        if not sealed:
            return None
        envelope = self._open(Kind.RESULT, job_id, type_name, sealed)
        found = job_type or self._known(type_name)
        return open_value(envelope) if found is None else found.open_result(envelope)

    def payload_after(self, job_id: JobId, type_name: str, sealed: bytes) -> Any:
        """The payload as a class's `handle` left it, or None."""
        return (
            open_payload_after(self._open(Kind.RESULT, job_id, type_name, sealed))
            if sealed
            else None
        )

    def problem(self, job_id: JobId, type_name: str, failure: Failure) -> Problem:
        """The words of a failure. Without a key they say so: how a job ended is never a secret."""
        try:
            detail = (
                open_error(self._need(""), job_id, type_name, failure.detail)
                if failure.detail
                else None
            )
        except (KeyMissing, SealBroken) as hidden:
            return Problem(failure.cause, failure.error_type, f"(sealed: {hidden})", "")
        if detail is None:
            return Problem(failure.cause, failure.error_type, _BARE.get(failure.cause, ""), "")
        return Problem(failure.cause, failure.error_type, detail.message, detail.traceback)

    def _open(self, kind: Kind, job_id: JobId, type_name: str, sealed: bytes) -> bytes:
        if len(sealed) == REFERENCE_SIZE and self._call is not None:
            blob_kind: BlobKind = "payload" if kind is Kind.PAYLOAD else "result"
            sealed = answered(fetched(blob_kind, job_id, sealed), self._call)
        key_id = sealed[1:5].hex()
        return self._need(key_id).open(kind, job_id, type_name, sealed)

    def _need(self, key_id: str) -> Sealer:
        if self._sealer is None:
            raise KeyMissing(key_id or "of the queue", [])
        return self._sealer

    def _known(self, type_name: str) -> JobType | None:
        try:
            return self._registry.get(type_name)
        except UnknownJobType:
            return None


def quietly(read: Any, otherwise: Any) -> Any:
    """What `read` gives, or `otherwise` when it is sealed for others: for tables and pages."""
    try:
        return read()
    except TaskQueueError:
        return otherwise


_BARE = {
    "loss": "its worker vanished while it ran",
    "timeout": "it ran longer than its timeout",
    "exit": "its process ended",
}
