"""The job of a schedule: bound and sealed once, for all that it will enqueue."""

from collections.abc import Mapping
from typing import Any

from taskqueue_ray.core.claims import Unique
from taskqueue_ray.core.errors import InvalidOption, PayloadTooLarge
from taskqueue_ray.core.schedule import MOST_BYTES, Template
from taskqueue_ray.engine.claiming import claim_of
from taskqueue_ray.engine.headers import attach
from taskqueue_ray.engine.middleware import Enqueueing, announce
from taskqueue_ray.engine.payload import Kind
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.sdk.batches import Preparer
from taskqueue_ray.sdk.ids import source
from taskqueue_ray.sdk.job import Job, JobItem, as_item

NOT_HERE = ("at", "delay", "depends_on")
"""Options of a job that mean nothing to a schedule, which says when."""


def item_of(
    target: object, args: tuple[Any, ...], payload: Mapping[str, Any] | None
) -> JobItem[Any]:
    """What is to be scheduled: as for `enqueue`, or a class of jobs. Raises what that raises.

    `payload` is that of a class's job, or the keyword arguments of a function.
    """
    if not (payload is None or isinstance(payload, Mapping)):
        raise InvalidOption("payload", ascii(payload)[:80], "a dict")
    given = dict(payload or {})
    if isinstance(target, type) and issubclass(target, Job):
        return target(given).item()
    if isinstance(target, str):
        job_type = registry.get(target)
        if job_type.is_class:
            return JobItem(job_type, job_type.defaults, (given,), {})
    return as_item(target, args, given)


def template_of(preparer: Preparer, item: JobItem[Any]) -> Template:
    """The job as the queue keeps it. Raises `InvalidArguments`, `PayloadTooLarge` and the like."""
    job_type, sealer = item.job_type, preparer.sealer
    told = Enqueueing(job_type.name, item.options, item.args, item.kwargs)
    options, headers = announce(job_type.before, told)
    for name in NOT_HERE:
        if getattr(options, name):
            raise InvalidOption(
                name, "a value beside a schedule", "nothing: the schedule says when"
            )
    plain = job_type.binder.bind(item.args, item.kwargs)
    content = attach(headers, plain) if headers else plain
    origin = source.draw()
    payload = sealer.seal(Kind.PAYLOAD, origin, job_type.name, content)
    if len(payload) > MOST_BYTES:
        raise PayloadTooLarge(f"the sealed payload of a schedule of {job_type.name}",
                              len(payload), MOST_BYTES)  # fmt: skip
    claim = None
    if isinstance(options.unique, Unique):
        claim = claim_of(options.unique, job_type, plain, (), sealer)
    expires = options.expires or 0.0
    conditions = options.but({"expires": None}).conditions(0.0, claim)
    return Template(
        preparer.shared(job_type, options), payload, origin,
        sealer.fingerprint(job_type.name.encode() + b"\0" + content), conditions, expires,
    )  # fmt: skip
