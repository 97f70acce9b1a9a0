"""Answers as JSON: whatever jobs return, typed values included."""

import hashlib
from typing import Any

import msgspec
from fastapi import Request
from fastapi.responses import Response

from taskqueue_ray.sdk.records import JobRecord


def json(value: Any, status: int = 200, **headers: str) -> Response:
    """A value as JSON. Dates are ISO, bytes base64, what is not known to JSON is shown as text."""
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(encoded(value), status, names, "application/json")


def tagged(request: Request, value: Any) -> Response:
    """The same with an ETag; 304 for who has it already."""
    body = encoded(value)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = request.headers.get("if-none-match", "")
    if tag in (one.strip().removeprefix("W/") for one in known.split(",")):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, 200, {"ETag": tag, "Cache-Control": "no-cache"}, "application/json")


def encoded(value: Any) -> bytes:
    """The JSON."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except (TypeError, ValueError, RecursionError):
        return msgspec.json.encode({"unprintable": repr(type(value))})


def whole(record: JobRecord) -> dict[str, Any]:
    """A job with all that can be opened."""
    return {
        **record.to_dict(),
        "max_attempts": record.max_attempts,
        "losses": record.losses,
        "generation": record.generation,
        "parents": list(record.parents),
        "progress": record.progress,
    }
