"""What a worker and its executors say to each other, and how it is framed.

Two lines carry it. The channel of each executor is a stream socket of frames, each four bytes of
length (little-endian) and one MessagePack message. The fork server's control line is a socket of
packets, one message each. An executor numbers the jobs that it is sent from 1, in their order of
arrival, and its worker counts along: that number, the ordinal, names a run without being sent.
"""

import struct
from typing import Any

import msgspec

from taskqueue_ray.core.blobs import INLINE
from taskqueue_ray.core.exchange import Grant, Outcome, Progress, Save
from taskqueue_ray.core.model import ExecutorKind, JobId, Options

# --- worker to executor ------------------------------------------------------------------------


class Assign(msgspec.Struct, frozen=True, array_like=True, tag="assign"):
    """Run these, in this order. `options` has those that the grants' indexes name."""

    options: dict[int, Options]
    grants: list[Grant]


class Recall(msgspec.Struct, frozen=True, array_like=True, tag="recall"):
    """Give back what has not begun; answered by `Recalled`."""


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Somebody asked for these jobs to be cancelled."""

    ids: list[JobId]


class Reply(msgspec.Struct, frozen=True, array_like=True, tag="reply"):
    """The answer to a `Call`: a body, or an error as its class name and fields."""

    number: int
    body: bytes
    error: tuple[str, dict[str, Any]] | None = None


class Stop(msgspec.Struct, frozen=True, array_like=True, tag="stop"):
    """End, once what has begun is done."""


Order = Assign | Recall | Cancel | Reply | Stop

# --- executor to worker ------------------------------------------------------------------------


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """Runs that ended, by ordinal, and how."""

    runs: list[tuple[int, Outcome]]


class Recalled(msgspec.Struct, frozen=True, array_like=True, tag="recalled"):
    """These have not begun and will not be."""

    ordinals: list[int]


class Progressed(msgspec.Struct, frozen=True, array_like=True, tag="progressed"):
    """How far running jobs are."""

    reports: list[tuple[JobId, Progress]]


class Saved(msgspec.Struct, frozen=True, array_like=True, tag="saved"):
    """What runs have saved for the next ones. Sent before the outcomes of the same runs."""

    saves: list[Save]


class Call(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """A running job asks something of the queue; `number` is unique in this executor."""

    number: int
    method: str
    request: bytes


Report = Done | Recalled | Progressed | Saved | Call

# --- worker to fork server, and back -----------------------------------------------------------


class Preload(msgspec.Struct, frozen=True, array_like=True, tag="preload"):
    """Sent once, first: what to import before the first fork, and what executors may import.

    `search` are folders to look for modules in besides the interpreter's own.
    """

    preload: tuple[str, ...]
    allowed: tuple[str, ...]
    search: tuple[str, ...]
    max_result: int
    inline: int = INLINE


class Fork(msgspec.Struct, frozen=True, array_like=True, tag="fork"):
    """Start an executor. The packet carries its channel, its cell and its output, in this order."""

    number: int
    kind: ExecutorKind
    slots: int


class Kill(msgspec.Struct, frozen=True, array_like=True, tag="kill"):
    """Kill an executor with its process group and whatever escapes from that."""

    number: int


ControlOrder = Preload | Fork | Kill


class Preloaded(msgspec.Struct, frozen=True, array_like=True, tag="preloaded"):
    """Ready to fork. `problems` has the error of each module that could not be imported."""

    problems: dict[str, str]


class Forked(msgspec.Struct, frozen=True, array_like=True, tag="forked"):
    """The executor runs as process `pid`; 0 when it could not be started."""

    number: int
    pid: int
    problem: str = ""


class Exited(msgspec.Struct, frozen=True, array_like=True, tag="exited"):
    """The executor has ended; `status` is what `os.waitstatus_to_exitcode` makes of its end."""

    number: int
    status: int


ControlReport = Preloaded | Forked | Exited

CONTROL_LIMIT = 128 * 1024
"""The largest control packet, in bytes: below the kernel's default send buffer."""

# --- framing -----------------------------------------------------------------------------------

_LENGTH = struct.Struct("<I")

encode = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(Order).decode
decode_report = msgspec.msgpack.Decoder(Report).decode
decode_control_order = msgspec.msgpack.Decoder(ControlOrder).decode
decode_control_report = msgspec.msgpack.Decoder(ControlReport).decode


def frame(message: Order | Report) -> bytes:
    """One message as it travels in a channel."""
    body = encode(message)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Cuts a stream of bytes into frames again.

    >>> frames = Frames()
    >>> frames.feed(frame(Stop())[:3]), len(frames.feed(frame(Stop())[3:]))
    ([], 1)
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[memoryview]:
        """The bodies of the frames that are whole now."""
        buffer = self._rest + data if self._rest else data
        view = memoryview(buffer)
        bodies = []
        at, end = 0, len(buffer)
        while at + 4 <= end:
            after = at + 4 + _LENGTH.unpack_from(buffer, at)[0]
            if after > end:
                break
            bodies.append(view[at + 4 : after])
            at = after
        self._rest = buffer[at:]
        return bodies
