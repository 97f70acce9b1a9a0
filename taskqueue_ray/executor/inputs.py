"""Arguments that are results of parents: fetched when the job runs, and put among the others."""

from collections.abc import Awaitable, Callable, Generator, Iterable

import msgspec

from taskqueue_ray.core.errors import JobNotFound, TaskQueueError
from taskqueue_ray.core.exchange import Ended, JobView
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import Input, JobId
from taskqueue_ray.engine.carrying import Questions, fetched
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.registry import value_in

PORTION = 500
"""Results that are asked for at once."""

_encode = msgspec.msgpack.Encoder().encode
_arguments = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_ends = msgspec.msgpack.Decoder(list[Ended]).decode
_views = msgspec.msgpack.Decoder(list[JobView]).decode
_NIL = msgspec.Raw(b"\xc0")


def filled(plain: bytes, inputs: Iterable[Input], sealer: Sealer) -> Questions:
    """The arguments with these among them. A parent that did not complete gives None."""
    arguments = _arguments(plain)
    for one in inputs:
        values: list[msgspec.Raw] = []
        for start in range(0, len(one.ids), PORTION):
            values += yield from _results(one.ids[start : start + PORTION], sealer)
        arguments[one.name] = msgspec.Raw(_encode(values)) if one.many else values[0]
    return _encode(arguments)


def _results(
    ids: tuple[JobId, ...], sealer: Sealer
) -> Generator[tuple[str, bytes], bytes, list[msgspec.Raw]]:
    found: dict[JobId, msgspec.Raw] = {}
    for end in _ends((yield "results", _encode(ids))):
        if end.known and end.state is not None:
            found[end.id] = yield from _value(end.id, end.state, end.type, end.result, sealer)
    older = [job_id for job_id in ids if job_id not in found]
    if older:
        for view in _views((yield "past", _encode(older))):
            type_name = view.options.type
            found[view.id] = yield from _value(view.id, view.state, type_name, view.result, sealer)
    if missing := [job_id for job_id in ids if job_id not in found]:
        raise JobNotFound(to_text(missing[0]))
    return [found[job_id] for job_id in ids]


def _value(
    job_id: JobId, state: JobState, type_name: str, sealed: bytes, sealer: Sealer
) -> Generator[tuple[str, bytes], bytes, msgspec.Raw]:
    if state is not JobState.COMPLETED or not sealed:
        return _NIL
    sealed = yield from fetched("result", job_id, sealed)
    return value_in(sealer.open(Kind.RESULT, job_id, type_name, sealed))


def answered(questions: Questions, call: Callable[[str, bytes], bytes]) -> bytes:
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
        return bytes(end.value)


async def aanswered(questions: Questions, acall: Callable[[str, bytes], Awaitable[bytes]]) -> bytes:
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
        return bytes(end.value)
