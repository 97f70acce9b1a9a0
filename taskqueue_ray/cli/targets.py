"""The job that a command names, and its arguments."""

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from taskqueue_ray.cli.opening import look_for
from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.sdk.job import Job, JobFunction, JobItem


def item_of(text: str, arguments: dict[str, Any], options: Mapping[str, Any]) -> JobItem[Any]:
    """The call of the class or function at `module:name`. Raises `InvalidOption`."""
    found = _found("job-class", text)
    if isinstance(found, JobFunction):
        return found.options(**options).item(**arguments)
    if isinstance(found, type) and issubclass(found, Job):
        return found(arguments, **options).item()
    raise InvalidOption("job-class", ascii(text)[:80], "a class of jobs, or a function that is one")


def function_of(option: str, text: str) -> JobFunction[Any, Any, Any]:
    """The function at `module:name` that is a job. Raises `InvalidOption`."""
    found = _found(option, text)
    if isinstance(found, JobFunction):
        return found
    raise InvalidOption(option, ascii(text)[:80], "a function that is a job")


def _found(option: str, text: str) -> Any:
    module, colon, name = text.partition(":")
    if not colon:
        module, _, name = text.rpartition(".")
    if not module or not name:
        raise InvalidOption(option, ascii(text)[:80], "MODULE:NAME, such as app.jobs:Backup")
    look_for((module,))
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def arguments_of(given: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` each; a value that is JSON means that, any other is text.

    >>> arguments_of(["to=a@b.c", "copies=3"])
    {'to': 'a@b.c', 'copies': 3}
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidOption("arg", ascii(text)[:80], "NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
