"""Arguments that are results of parents: fetched when the job runs, and put among the others."""

from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from taskqueue_ray.core.blobs import REFERENCE_SIZE
from taskqueue_ray.core.errors import JobNotFound, TaskQueueError
from taskqueue_ray.core.exchange import Ended, Grant, JobView
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Input, JobId, Options
from taskqueue_ray.core.origin import origin_of
from taskqueue_ray.core.views import summary_of
from taskqueue_ray.engine.carrying import Questions, fetched
from taskqueue_ray.engine.headers import arguments_of, attach, headers_of
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.results import value_in

T = TypeVar("T")

PORTION = 500
"""Results that are asked for at once."""

_encode = msgspec.msgpack.Encoder().encode
_arguments = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_ends = msgspec.msgpack.Decoder(list[Ended]).decode
_views = msgspec.msgpack.Decoder(list[JobView]).decode
_counts = msgspec.msgpack.Decoder(dict[JobState, int]).decode
_NIL = msgspec.Raw(b"\xc0")


def plain_of(
    grant: Grant, options: Options, sealer: Sealer, call: Callable[[str, bytes], bytes]
) -> bytes:
    """A job's arguments in the clear, wherever they are kept, results of others among them."""
    if _is_at_hand(grant):
        return sealer.open(Kind.PAYLOAD, origin_of(grant), options.type, grant.payload)
    return answered(_gathered(grant, options, sealer), call)


async def aplain_of(
    grant: Grant, options: Options, sealer: Sealer, acall: Callable[[str, bytes], Awaitable[bytes]]
) -> bytes:
    """The same, awaiting each answer."""
    if _is_at_hand(grant):
        return sealer.open(Kind.PAYLOAD, origin_of(grant), options.type, grant.payload)
    return await aanswered(_gathered(grant, options, sealer), acall)


def _is_at_hand(grant: Grant) -> bool:
    """Whether all of the arguments came with the grant."""
    return not grant.inputs and len(grant.payload) != REFERENCE_SIZE


def _gathered(grant: Grant, options: Options, sealer: Sealer) -> Questions:
    sealed = yield from fetched("payload", JobId(origin_of(grant)), grant.payload)
    plain = sealer.open(Kind.PAYLOAD, origin_of(grant), options.type, sealed)
    return (yield from filled(plain, grant.inputs, sealer)) if grant.inputs else plain


def filled(plain: bytes, inputs: Iterable[Input], sealer: Sealer) -> Questions:
    """The arguments with these among them. A parent that did not complete gives None."""
    arguments = _arguments(arguments_of(plain))
    for one in inputs:
        if one.workflow:
            counts = _counts((yield "workflow", _encode(one.workflow)))
            arguments[one.name] = msgspec.Raw(_encode(summary_of(one.workflow, counts)))
            continue
        ends = yield from ends_of(one.ids)
        values = [value_of(job_id, ends[job_id], sealer) for job_id in one.ids]
        arguments[one.name] = msgspec.Raw(_encode(values)) if one.many else values[0]
    return attach(headers_of(plain), _encode(arguments))


class End(NamedTuple):
    """How a job ended: its state, its type, and its sealed result."""

    state: JobState
    type: str
    result: bytes


Ends = Generator[tuple[str, bytes], bytes, dict[JobId, End | None]]


def ends_of(ids: Sequence[JobId], *, all_or_nothing: bool = False) -> Ends:
    """How these jobs ended; None for those that have not. Raises `JobNotFound`.

    With `all_or_nothing` it stops where it meets one that has not ended.
    """
    found: dict[JobId, End | None] = {}
    for start in range(0, len(ids), PORTION):
        portion = yield from _portion(ids[start : start + PORTION], all_or_nothing)
        found.update(portion)
        if all_or_nothing and None in portion.values():
            break
    return found


def _portion(ids: Sequence[JobId], all_or_nothing: bool) -> Ends:
    found: dict[JobId, End | None] = {}
    for end in _ends((yield "results", _encode(ids))):
        if end.known and end.state is not None:
            found[end.id] = End(end.state, end.type, end.result) if end.state.final else None
    if all_or_nothing and None in found.values():
        return found
    older = [job_id for job_id in ids if job_id not in found]
    if older:
        for view in _views((yield "past", _encode(older))):
            found[view.id] = End(view.state, view.options.type, view.result)
    if missing := [job_id for job_id in ids if job_id not in found]:
        raise JobNotFound(to_text(missing[0]))
    for job_id, known in found.items():
        if known is not None and known.state is JobState.COMPLETED:
            result = yield from fetched("result", job_id, known.result)
            found[job_id] = known._replace(result=result)
    return found


def value_of(job_id: JobId, end: End | None, sealer: Sealer) -> msgspec.Raw:
    """What a job returned, as it is stored; nil when it has not completed."""
    if end is None or end.state is not JobState.COMPLETED or not end.result:
        return _NIL
    return value_in(sealer.open(Kind.RESULT, job_id, end.type, end.result))


def answered(
    questions: Generator[tuple[str, bytes], bytes, T], call: Callable[[str, bytes], bytes]
) -> T:
    """Put the questions with `call`, one after another. A refusal is raised where it was asked."""
    try:
        asked = next(questions)
        while True:
            try:
                answer = call(*asked)
            except TaskQueueError as refusal:
                asked = questions.throw(refusal)
            else:
                asked = questions.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


async def aanswered(
    questions: Generator[tuple[str, bytes], bytes, T],
    acall: Callable[[str, bytes], Awaitable[bytes]],
) -> T:
    """The same, awaiting each."""
    try:
        asked = next(questions)
        while True:
            try:
                answer = await acall(*asked)
            except TaskQueueError as refusal:
                asked = questions.throw(refusal)
            else:
                asked = questions.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
