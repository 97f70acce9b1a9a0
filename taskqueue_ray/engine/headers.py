"""Words that travel with a job from where it is enqueued to where it runs, sealed with its payload.

Arguments are a MessagePack map. With headers the content is an array of two, headers and
arguments; without any it is the arguments alone, so that a job that has none pays no byte.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from taskqueue_ray.core.errors import InvalidOption

HEADED = b"\x92"
"""How content with headers begins: as an array of two, which no arguments are."""

_encode = msgspec.msgpack.Encoder().encode
_split = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw]).decode
_headers = msgspec.msgpack.Decoder(dict[str, str]).decode


def attach(headers: Mapping[str, str], arguments: bytes) -> bytes:
    r"""Headers and arguments as one.

    >>> headers_of(attach({"trace": "1"}, b"\x80"))
    {'trace': '1'}
    """
    return HEADED + _encode(headers) + arguments if headers else arguments


def arguments_of(content: bytes) -> bytes:
    """The arguments alone."""
    return bytes(_split(content)[1]) if content.startswith(HEADED) else content


def headers_of(content: bytes) -> dict[str, str]:
    """The headers, of which there may be none."""
    return _headers(_split(content)[0]) if content.startswith(HEADED) else {}


def check_headers(given: Mapping[Any, Any]) -> Mapping[str, str]:
    """The headers, if each is text under a name. Raises `InvalidOption`."""
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            shown = f"{ascii(name)[:40]}: {ascii(value)[:40]}"
            raise InvalidOption("headers", shown, "names with text, such as {'trace': '4bf92f35'}")
    return given
