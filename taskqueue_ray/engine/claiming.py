"""The unique key that a job claims, from its options and its arguments."""

from collections.abc import Sequence
from typing import Any

import msgspec

from taskqueue_ray.core.claims import Unique
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.model import Claim, Input
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Sealer

_arguments = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.msgpack.Encoder().encode


def claim_of(
    rule: Unique, job_type: JobType, plain: bytes, inputs: Sequence[Input], sealer: Sealer
) -> Claim:
    """What the queue is told: the key as given, or one made of type and arguments.

    The made one is a keyed hash, since keys are stored in the clear and arguments are not to be
    guessed from them. Raises `InvalidOption` when a named field is no parameter.
    """
    key = rule.key or _fingerprint(rule, job_type, plain, inputs, sealer)
    return Claim(key, rule.seconds, rule.on_conflict)


def _fingerprint(
    rule: Unique, job_type: JobType, plain: bytes, inputs: Sequence[Input], sealer: Sealer
) -> str:
    if rule.fields is None and not inputs and job_type.binder.in_order:
        return _key(job_type, plain, sealer)
    arguments: dict[str, Any] = dict(_arguments.decode(plain))
    # Arguments that are results of others are the same if those others are.
    arguments |= {one.name: one for one in inputs}
    if rule.fields is not None:
        if unknown := [name for name in rule.fields if not job_type.binder.takes(name)]:
            raise InvalidOption("unique fields", ascii(unknown), f"parameters of {job_type.name}")
        arguments = {name: arguments[name] for name in rule.fields if name in arguments}
    return _key(job_type, _encode(sorted(arguments.items())), sealer)


def _key(job_type: JobType, told: bytes, sealer: Sealer) -> str:
    name = job_type.name
    return f"{name}:{sealer.fingerprint(name.encode() + told).hex()}"
