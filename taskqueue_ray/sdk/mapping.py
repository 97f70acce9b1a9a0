"""One job for each item of a list that is known only when the jobs before have run.

The job that stands for the list first enqueues the others, under ids that follow from its own, so
that a run that is repeated enqueues the same ones. Then it waits for them, and returns what they
returned, in order. It passes stored values on as they are: it need not know what they mean.
"""

from collections.abc import Iterator, Mapping
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Optional

import msgspec
from msgspec.structs import replace

from taskqueue_ray.core.errors import (
    BatchEnded,
    InvalidArguments,
    InvalidOption,
    QueueFull,
    StorageFull,
)
from taskqueue_ray.core.events import encode_batch
from taskqueue_ray.core.exchange import BatchRecord, EnqueueReply
from taskqueue_ray.core.identity import derive_job_id
from taskqueue_ray.core.model import Conditions, JobId, JobSpec, Options
from taskqueue_ray.core.options import MAX_PARENTS, SHAPE, JobOptions
from taskqueue_ray.engine.annotations import hints_of
from taskqueue_ray.engine.arguments import ResultType
from taskqueue_ray.engine.carrying import sent
from taskqueue_ray.engine.context import Cancel, Context, Fail, Snooze, WaitFor, current
from taskqueue_ray.engine.jobtype import JobType
from taskqueue_ray.engine.payload import Kind
from taskqueue_ray.executor.inputs import answered, ends_of, value_of
from taskqueue_ray.sdk.batches import MAX_BYTES, MAX_JOBS, Preparer
from taskqueue_ray.sdk.inputs import handles_in
from taskqueue_ray.sdk.job import JobItem

if TYPE_CHECKING:
    from taskqueue_ray.sdk.inside import Inside

NAME = "taskqueue_ray.map"
ATTEMPTS = 10
FULL = "10s"
"""How long it waits when the queue is full before it enqueues the rest."""

_encode = msgspec.msgpack.Encoder().encode
_map = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_reply = msgspec.msgpack.Decoder(EnqueueReply).decode
_ITEM = object()


class Shape(msgspec.Struct, frozen=True):
    """What the jobs have in common: all but the item, which becomes the argument `parameter`."""

    options: Options
    conditions: Conditions | None
    parameter: str
    arguments: bytes


class MapType(JobType):
    """The type of the job that stands for the list. `element` is what each of the jobs returns."""

    def __init__(self, element: object = Any) -> None:
        super().__init__(NAME, _run, JobOptions(max_attempts=ATTEMPTS))
        # None stands for a job that did not complete; the element's type is whatever was declared.
        listed = Any if element is Any else GenericAlias(list, (Optional[element],))  # noqa: UP045
        self.result = ResultType(listed)

    def run(self, plain: bytes) -> bytes:
        """The results are stored as they came: the envelope is made here."""
        _, arguments = self.binder.load(plain)
        return _encode((self.target(**arguments), None))


def _run(items: msgspec.Raw, shape: Shape) -> list[msgspec.Raw]:
    """What each of the jobs returned, once all have ended."""
    from taskqueue_ray.sdk.inside import inside

    context = current()
    listed = _items(items)
    ids = [derive_job_id(context.raw_id, str(index)) for index in range(len(listed))]
    if not ids:
        return []
    shared = inside(context.channel)
    sending = _send(context, shared, shape, dict(zip(ids, listed, strict=True)))
    if not next(sending) and (results := _results(context, shared, ids)) is not None:
        return results
    for _ in sending:
        if context.cancelled:
            raise Cancel
    raise WaitFor(ids)


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        found = _list(raw)
    except msgspec.MsgspecError:
        raise Fail("what is to be mapped over is no list") from None
    if len(found) > MAX_PARENTS:
        raise Fail(f"a map has at most {MAX_PARENTS:,} items, not {len(found):,}")
    return found


def _send(
    context: Context, shared: "Inside", shape: Shape, items: Mapping[JobId, msgspec.Raw]
) -> Iterator[int]:
    """Enqueue the jobs; for each call of the queue, how many of its jobs were new."""
    options = replace(shape.options, key=shared.sealer.key_id)
    common, most = _map(shape.arguments), min(MAX_JOBS, shared.max_batch)
    specs: list[JobSpec] = []
    size = 0

    def call(method: str, request: bytes) -> bytes:
        try:
            return context.channel.call(method, request)
        except (QueueFull, StorageFull):
            raise Snooze(FULL) from None
        except BatchEnded:
            raise Fail("the callback of its batch no longer waits for its jobs") from None

    def enqueue() -> int:
        body = encode_batch(BatchRecord([options], specs))
        return _reply(call("enqueue", body)).accepted

    for job_id, item in items.items():
        plain = _encode({**common, shape.parameter: item})
        payload = shared.sealer.seal(Kind.PAYLOAD, job_id, options.type, plain)
        if len(payload) > shared.sealer.inline:
            payload = answered(sent("payload", job_id, payload), call)
        spec = JobSpec(job_id, 0, payload, conditions=shape.conditions)
        specs.append(spec)
        size += len(_encode(spec))
        if len(specs) >= most or size >= MAX_BYTES:
            yield enqueue()
            specs, size = [], 0
    if specs:
        yield enqueue()


def _results(context: Context, shared: "Inside", ids: list[JobId]) -> list[msgspec.Raw] | None:
    """What they returned; None when one has not ended, or was not enqueued yet."""
    ends = answered(ends_of(ids, all_or_nothing=True), context.channel.call)
    if len(ends) < len(ids) or None in ends.values():
        return None
    return [value_of(job_id, ends[job_id], shared.sealer) for job_id in ids]


MAP = MapType()


def map_item(
    preparer: Preparer, target: JobItem[Any], items: Any, kwargs: Mapping[str, Any]
) -> JobItem[list[Any]]:
    """The job that stands for the list. Raises what is wrong with a call of `target`."""
    job_type, options = target.job_type, target.options
    if options.unique is not None:
        raise InvalidOption("unique", "a rule", "nothing: jobs of a map are told apart by it")
    if options.on_parent_failure == "only":
        raise InvalidOption("on_parent_failure", "'only'", "another one: a map needs its list")
    parameter, constant = _constant(job_type, kwargs)
    alike = _each(options)
    shape = Shape(
        preparer.shared(job_type, alike),
        alike.conditions(0.0),
        parameter,
        constant,
    )
    given: Any = items
    if handles_in(items) is None:
        given = _stored(job_type, parameter, items, kwargs)
    many = job_type.vectorized
    element = many.result() if many is not None else hints_of(job_type.target).get("return", Any)
    return JobItem(MapType(element), _whole(options), (given, shape), {})


def _constant(job_type: JobType, kwargs: Mapping[str, Any]) -> tuple[str, bytes]:
    """The parameter that takes the item, and the other arguments as MessagePack."""
    taken: list[str] = []

    def take(name: str, value: Any) -> bool:
        if value is _ITEM:
            taken.append(name)
        return value is _ITEM

    plain = job_type.binder.bind((_ITEM,), kwargs, take)
    if not taken:
        raise InvalidArguments(job_type.name, "its first parameter is to take the item")
    return taken[0], plain


def _stored(
    job_type: JobType, parameter: str, items: Any, kwargs: Mapping[str, Any]
) -> msgspec.Raw:
    """A list that is known already, each item checked as an argument."""
    if not isinstance(items, list | tuple):
        raise InvalidArguments(
            job_type.name, "map takes a list, or a handle of a job that gives one"
        )
    bind = job_type.binder.bind
    return msgspec.Raw(_encode([_map(bind((item,), kwargs))[parameter] for item in items]))


def _each(options: JobOptions) -> JobOptions:
    """The options of each job: what says when the whole begins is not theirs."""
    return replace(
        options, id=None, delay=None, at=None, expires=None, depends_on=(),
        on_parent_failure="cancel",
    )  # fmt: skip


def _whole(options: JobOptions) -> JobOptions:
    """The options of the job that stands for the list. It holds no key, and no GPU, as those do."""
    return replace(
        options, max_attempts=ATTEMPTS, timeout=0.0, executor=None, concurrency_key="",
        ordered=False, retry_on=(), give_up_on=(), own_backoff=False, cancel_grace=None,
        **dict.fromkeys(SHAPE),
    )  # fmt: skip
