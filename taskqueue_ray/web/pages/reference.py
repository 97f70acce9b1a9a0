"""The REST API's description as a page: drawn here, so that it needs no network."""

from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.web.pages.rendering import Entry, render

router = APIRouter()
ENTRY = Entry("API", "/api", "p", "code")


class Operation(NamedTuple):
    """One method of one path."""

    method: str
    path: str
    summary: str
    words: str
    parameters: list[dict[str, Any]]
    body: str
    answers: list[tuple[str, str]]


@router.get("/api")
def reference(request: Request) -> HTMLResponse:
    """All operations by tag, and the shapes of what is sent and given."""
    description: dict[str, Any] = request.app.openapi()
    groups: dict[str, list[Operation]] = {}
    for path, methods in description["paths"].items():
        for method, one in methods.items():
            groups.setdefault(one.get("tags", ["other"])[0], []).append(
                _operation(method, path, one)
            )
    shapes = description.get("components", {}).get("schemas", {})
    return render(request, "reference.html", groups=groups, shapes=shapes, live=False, type_of=kind)


def _operation(method: str, path: str, one: dict[str, Any]) -> Operation:
    content = one.get("requestBody", {}).get("content", {})
    body = kind(content["application/json"]["schema"]) if "application/json" in content else ""
    answers = [(status, answer["description"]) for status, answer in one["responses"].items()]
    words = str(one.get("description", ""))
    return Operation(
        method.upper(), path, str(one.get("summary", "")), words, one.get("parameters", []), body,
        answers,
    )  # fmt: skip


def kind(schema: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(kind(one) for one in schema[several])
    if schema.get("type") == "array":
        return f"[{kind(schema.get('items', {}))}]"
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(schema.get("format") or schema.get("type") or "anything")
