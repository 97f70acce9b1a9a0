"""What a sink needs to know, and how it is sealed: only who holds a key can tell anybody."""

from typing import Any, Literal

import msgspec

from taskqueue_ray.core.alerts import Sink
from taskqueue_ray.core.errors import SealBroken
from taskqueue_ray.core.model import Conditions
from taskqueue_ray.engine.payload import Kind, Sealer

Tls = Literal["starttls", "ssl", "none"]


class WebhookConfig(msgspec.Struct, frozen=True):
    """Where to post, and with which secret the post is signed; without one it is not."""

    url: str
    secret: str = ""
    headers: dict[str, str] = {}


class SlackConfig(msgspec.Struct, frozen=True):
    """The incoming webhook of Slack, or of what speaks like it."""

    url: str


class EmailConfig(msgspec.Struct, frozen=True):
    """A mail server, who signs on there, and the addresses."""

    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    user: str = ""
    password: str = ""
    tls: Tls = "starttls"


class JobConfig(msgspec.Struct, frozen=True):
    """The job's arguments besides `parameter`, which gets the alert, as MessagePack."""

    parameter: str
    others: bytes
    conditions: Conditions | None = None


_KINDS: dict[str, Any] = {
    "webhook": WebhookConfig,
    "slack": SlackConfig,
    "email": EmailConfig,
    "job": JobConfig,
}


def seal_config(config: msgspec.Struct, kind: str, sealer: Sealer, rule: str) -> bytes:
    """The sealed bytes of a sink of a rule."""
    return sealer.seal(Kind.SINK, rule.encode(), kind, msgspec.msgpack.encode(config))


def open_config(sink: Sink, sealer: Sealer, rule: str) -> Any:
    """What the sink needs to know. Raises `KeyMissing`, `SealBroken`."""
    plain = sealer.open(Kind.SINK, rule.encode(), sink.kind, sink.sealed)
    try:
        return msgspec.msgpack.decode(plain, type=_KINDS[sink.kind])
    except (KeyError, msgspec.MsgspecError):
        raise SealBroken(Kind.SINK, f"it is no {sink.kind} of this version") from None
