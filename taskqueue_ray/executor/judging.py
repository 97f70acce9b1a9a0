"""The process that runs predicates of alert rules, and callables that are told of alerts.

`python -m taskqueue_ray.executor.judging FD` answers one question after another on a socket. What
a function does to this process harms nobody: whoever asked starts another.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from taskqueue_ray.core.errors import KeyMissing
from taskqueue_ray.core.naming import exception_name
from taskqueue_ray.engine.functions import open_function
from taskqueue_ray.engine.keyring import load_keyring
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.watched import Seen, arguments
from taskqueue_ray.executor.kernel import die_with_parent

LENGTH = 4
LARGEST = 64 * 1024 * 1024
_MAX_WORDS = 300


class Predicate(msgspec.Struct, frozen=True, array_like=True, tag="predicate"):
    """Does this predicate of a rule hold?"""

    rule: str
    sealed: bytes
    takes: tuple[str, ...]
    seen: Seen


class Call(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """Tell this callable of a rule; `message` is MessagePack."""

    rule: str
    sealed: bytes
    message: bytes


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What it said; with `problem`, why it said nothing."""

    holds: bool = False
    problem: str = ""


Question = Predicate | Call
encode = msgspec.msgpack.Encoder().encode
_question = msgspec.msgpack.Decoder(Question).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


class Judge:
    """Answers questions. Functions are kept by their sealed bytes."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer
        self._functions: dict[bytes, Callable[..., Any]] = {}

    def answer(self, question: Question) -> Answer:
        """Run it. Raises nothing that is an exception."""
        try:
            if isinstance(question, Call):
                call = self._function(question.sealed, Kind.SINK, question.rule)
                call(msgspec.msgpack.decode(question.message))
                return Answer()
            holds = self._function(question.sealed, Kind.PREDICATE, question.rule)
            return Answer(bool(holds(**arguments(question.seen, question.takes))))
        except Exception as error:
            return Answer(problem=_told(error))

    def _function(self, sealed: bytes, kind: Kind, rule: str) -> Callable[..., Any]:
        found = self._functions.get(sealed)
        if found is None:
            if self._sealer is None:
                raise KeyMissing("of the rule", [])
            found = self._functions[sealed] = open_function(sealed, self._sealer, kind, rule)
        return found


def _told(error: Exception) -> str:
    try:
        return f"{exception_name(type(error))}: {error}"[:_MAX_WORDS]
    except Exception:  # the text of an exception is code of its own
        return exception_name(type(error))


def serve(line: socket.socket, judge: Judge) -> None:
    """Answer until the other side hangs up."""
    while (length := _read(line, LENGTH)) is not None:
        data = _read(line, int.from_bytes(length, "big"))
        if data is None:
            return
        answer = encode(judge.answer(_question(data)))
        sys.stdout.flush()
        line.sendall(len(answer).to_bytes(LENGTH, "big") + answer)


def _read(line: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = line.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)


def main() -> None:
    """Serve on the socket whose descriptor is the first argument."""
    die_with_parent()
    line = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(line.fileno(), False)
    keyring = load_keyring(os.environ)
    with contextlib.suppress(ConnectionError):
        serve(line, Judge(None if keyring is None else Sealer(keyring)))


if __name__ == "__main__":
    main()
