"""What the API's description says of all operations alike: who may call, and how they refuse."""

from typing import Any

from taskqueue_ray.web.problems import MEDIA_TYPE

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def completed(description: dict[str, Any], health: str) -> dict[str, Any]:
    """The framework's description, with what only the door and the handlers of errors know.

    Completing it again changes nothing. `health` is the path that needs no token.
    """
    parts = description.setdefault("components", {})
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    description["security"] = [{"token": []}]
    for path, methods in description["paths"].items():
        for operation in methods.values():
            if path == health:
                operation["security"] = []
            _say_how_it_refuses(operation["responses"])
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own, never sent
        parts.get("schemas", {}).pop(name, None)
    return description


def _say_how_it_refuses(responses: dict[str, Any]) -> None:
    responses.pop("422", None)  # one of 4XX
    for status in ("4XX", "5XX"):
        responses[status]["content"] = _PROBLEM
