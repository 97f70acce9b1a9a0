"""A job as a sink: the batch that enqueues it with the alert as its argument."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from taskqueue_ray.core.alerts import Notice, Sink
from taskqueue_ray.core.events import encode_batch
from taskqueue_ray.core.exchange import BatchRecord
from taskqueue_ray.core.identity import make_job_id
from taskqueue_ray.core.model import JobSpec
from taskqueue_ray.engine.payload import Kind, Sealer, decode_value, encode_value
from taskqueue_ray.engine.sinks import JobConfig


def batch_of(
    notice: Notice, place: int, config: JobConfig, message: Mapping[str, Any], sealer: Sealer
) -> bytes:
    """The batch with the one job, whose id is made of the notice: a repeat is the same job."""
    sink: Sink = notice.sinks[place]
    assert sink.options is not None
    entropy = hashlib.sha256(f"{notice.id} {place}".encode()).digest()[:9]
    job_id = make_job_id(notice.at, entropy)
    plain = encode_value({**decode_value(config.others), config.parameter: dict(message)})
    payload = sealer.seal(Kind.PAYLOAD, job_id, sink.options.type, plain)
    options = msgspec.structs.replace(sink.options, key=sealer.key_id)
    spec = JobSpec(job_id, 0, payload, 0.0, (), config.conditions)
    return encode_batch(BatchRecord([options], [spec]))
