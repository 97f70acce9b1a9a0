"""`taskqueue enqueue`: one call of a job, or one for each line of a file."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer

from taskqueue_ray.cli.opening import client, look_for, settings_of
from taskqueue_ray.cli.options import Address, Json, Storage
from taskqueue_ray.cli.render import print_json, say
from taskqueue_ray.core.errors import InvalidOption, InvalidRequest, UnknownJobType
from taskqueue_ray.core.settings import Settings
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.job import Job, JobFunction, JobItem

Options = dict[str, Any]


def enqueue(
    target: Annotated[str, typer.Argument(metavar="MODULE:JOB", help="Such as app.jobs:send")],
    arg: Annotated[
        list[str] | None,
        typer.Option(
            "--arg", "-a", metavar="NAME=VALUE", help="An argument; NAME:=VALUE gives JSON"
        ),
    ] = None,
    lines: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A job for each line, a JSON object of arguments; - is stdin"
        ),
    ] = None,
    *,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Its queue")] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 100; a higher one runs sooner")] = None,
    delay: Annotated[str | None, typer.Option(metavar="TIME", help="Not before: 30s, 5m")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Ends unless it has started by then: 2h")
    ] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Runs that may fail, and one")] = None,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="Of each run: 30s")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="May be repeated")] = None,
    category: Annotated[str | None, typer.Option()] = None,
    unique: Annotated[str | None, typer.Option(metavar="KEY", help="One of this key")] = None,
    fair_key: Annotated[str | None, typer.Option(metavar="KEY", help="Whose turn it is")] = None,
    concurrency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="One of this key at a time")
    ] = None,
    depends_on: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="A job to wait for; may be repeated")
    ] = None,
    id: Annotated[str | None, typer.Option(help="Its id: a repeat is the same job")] = None,
    app: Annotated[
        list[str] | None, typer.Option(metavar="MODULE", help="Where jobs are known from")
    ] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="TIME", help="Wait so long for the result: 30s")
    ] = None,
    storage: Storage = None,
    address: Address = None,
    json: Json = False,
) -> None:
    """Enqueue a job. Durable when the command returns."""
    settings = settings_of(storage, address, app=tuple(app) if app else None)
    given = {
        "queue": queue, "priority": priority, "delay": delay, "expires": expires,
        "max_attempts": max_attempts, "timeout": timeout, "tags": tag, "category": category,
        "unique": unique, "fair_key": fair_key, "concurrency_key": concurrency_key,
        "depends_on": depends_on, "id": id,
    }  # fmt: skip
    job = _find(target, settings)
    options = {name: value for name, value in given.items() if value is not None}
    if lines is not None:
        if arg or id or wait:
            raise InvalidRequest("--lines goes without --arg, --id and --wait")
        _enqueue_lines(job, options, lines, settings, json=json)
        return
    item = _item(job, options, dict(_argument(job, text) for text in arg or ()))
    with client(settings) as (found, _):
        handle: JobHandle[Any] = found.enqueue(item)
        result = None if wait is None else handle.result(timeout=wait)
    if json:
        print_json({"id": handle.id, **({} if wait is None else {"result": result})})
    else:
        say(handle.id)
        if wait is not None:
            say(repr(result))


def _enqueue_lines(
    job: Any, options: Options, lines: Path, settings: Settings, *, json: bool
) -> None:
    with _opened(lines) as file:
        items = [_item(job, options, arguments) for arguments in _objects(file)]
    with client(settings) as (found, _):
        handles: list[JobHandle[Any]] = found.enqueue_many(items)
    if json:
        print_json({"ids": [handle.id for handle in handles]})
    else:
        say(f"{len(handles):,} jobs are durable")


def _opened(lines: Path) -> AbstractContextManager[TextIO]:
    if str(lines) == "-":
        return nullcontext(sys.stdin)
    try:
        return lines.open(encoding="utf-8")
    except OSError as problem:
        raise InvalidRequest(f"cannot read the lines: {problem}") from None


def _objects(lines: TextIO) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as problem:
            raise InvalidRequest(f"line {number} is no JSON object: {problem}") from None


def _find(target: str, settings: Settings) -> Any:
    """A `JobFunction`, a class of jobs, or the name of a type."""
    module, colon, name = target.partition(":")
    look_for((module, *settings.app) if colon else settings.app)
    if not colon:
        return registry.resolve(target, settings.app).name
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    is_class = isinstance(found, type) and issubclass(found, Job)
    if not (isinstance(found, JobFunction) or is_class):
        raise UnknownJobType(target, registry.names)
    return found


def _item(job: Any, options: Options, arguments: dict[str, Any]) -> JobItem[Any] | Job:
    if isinstance(job, type):
        made: Job = job(arguments, **options)
        return made
    if isinstance(job, JobFunction):
        item: JobItem[Any] = job.options(**options).item(**arguments)
    else:
        job_type = registry.get(job)
        item = JobItem(job_type, job_type.defaults.but(options), (), arguments)
    # What does not fit is refused before Ray is started.
    item.job_type.binder.bind(item.args, item.kwargs)
    return item


def _argument(job: Any, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.removesuffix(":"):
        raise InvalidOption("arg", ascii(text)[:80], "NAME=VALUE, or NAME:=JSON")
    if name.endswith(":"):
        try:
            return name[:-1], msgspec.json.decode(value)
        except msgspec.MsgspecError as problem:
            raise InvalidOption("arg", ascii(text)[:80], f"JSON after := ({problem})") from None
    if isinstance(job, type):
        return name, value
    job_type = job.job_type if isinstance(job, JobFunction) else registry.get(job)
    return name, job_type.binder.from_text(name, value)
