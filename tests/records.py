"""Records for tests: ids, batches and outcomes that say only what the test is about."""

from collections.abc import Sequence
from typing import Any

from taskqueue_ray.core.events import decode_batch, encode_batch
from taskqueue_ray.core.exchange import (
    Batch,
    BatchRecord,
    Grant,
    Outcome,
    OutcomeKind,
    Save,
    WorkerInfo,
)
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.model import Conditions, Failure, JobId, JobSpec, Options

START = 1_800_000_000.0
"""When the tests' clocks begin."""

BROKE = Failure("error", "ValueError", b"sealed")


def job_id(number: int, at: float = START) -> JobId:
    """The id of that number; ids of one time are in the order of their numbers."""
    return make_job_id(at, number.to_bytes(9, "big"))


def options(**given: Any) -> Options:
    return Options(**{"queue": "q", "type": "t", **given})


def spec(
    number: int,
    option: int = 0,
    *,
    due: float = 0.0,
    parents: Sequence[int] = (),
    **conditions: Any,
) -> JobSpec:
    """A job as its client sends it, with a payload that names it."""
    return JobSpec(
        job_id(number),
        option,
        b"payload %d" % number,
        due,
        tuple(map(job_id, parents)),
        Conditions(**conditions) if conditions else None,
    )


def raw_batch(jobs: Sequence[JobSpec], *shared: Options) -> bytes:
    return encode_batch(BatchRecord(list(shared) or [options()], list(jobs)))


def batch(jobs: Sequence[JobSpec], *shared: Options) -> Batch:
    return decode_batch(raw_batch(jobs, *shared))


def worker(name: str = "w", **given: Any) -> WorkerInfo:
    return WorkerInfo(**{"id": name, "queues": (), "concurrency": 2, "python": "3.11", "keys": (),
                         **given})  # fmt: skip


def outcome(grant: Grant, kind: OutcomeKind = OutcomeKind.COMPLETED, **given: Any) -> Outcome:
    """How the run of a grant ended; an error has a failure unless the test says otherwise."""
    if kind is OutcomeKind.ERRORED:
        given.setdefault("failure", BROKE)
    if kind is OutcomeKind.COMPLETED:
        given.setdefault("result", b"result")
    return Outcome(grant.id, grant.delivery, grant.lease, kind, **given)


def save(grant: Grant, number: int = 1, sealed: bytes = b"sealed", **given: Any) -> Save:
    """What the run of a grant saves for the next one."""
    token = {"delivery": grant.delivery, "lease": grant.lease, **given}
    return Save(grant.id, token["delivery"], token["lease"], number, sealed)
