"""Names and commands in the text of the documents are those of the product."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import taskqueue_ray as tq
from taskqueue_ray.cli.app import app
from taskqueue_ray.engine.context import Context
from taskqueue_ray.sdk.handle import JobHandle

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OWNERS: dict[str, object] = {
    "tq": tq,
    "q": tq.TaskQueue,
    "handle": JobHandle,
    "context": Context,
    "tq.current()": Context,
    "TaskQueue": tq.TaskQueue,
}


def _spans(page: Path) -> Iterator[str]:
    """What stands in backquotes, and lines of shells."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_are_there(page: Path) -> None:
    wrong = []
    for span in _spans(page):
        for owner, name in re.findall(r"(?<![\w.])(tq\.current\(\)|\w+)\.([a-z_A-Z]\w*)", span):
            known = OWNERS.get(owner)
            if known is not None and not _has(known, name):
                wrong.append(f"{owner}.{name}")
    assert wrong == []


def _has(owner: object, name: str) -> bool:
    if hasattr(owner, name):
        return True
    # Attributes that are made in `__init__`, such as `q.queues`.
    return isinstance(owner, type) and name in owner.__dict__["__init__"].__code__.co_names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_are_there(page: Path) -> None:
    commands = [span for span in _spans(page) if span.startswith("taskqueue ")]
    wrong = [f"{line}: {problem}" for line in commands if (problem := _problem(line))]
    assert wrong == []


def _problem(line: str) -> str:
    command: Any = get_command(app)
    words = shlex.split(line, comments=True)[1:]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        found = command.commands.get(words.pop(0))
        if found is None:
            return "no such command"
        command = found
    options = {name for parameter in command.params for name in parameter.opts}
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in options]
    return f"no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_targets_are_there(page: Path) -> None:
    places = (ROOT, ROOT / "taskqueue_ray", page.parent)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    wrong = []
    for span in _spans(page):
        path, _, _ = span.partition("::")
        is_code = re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", path) and path.endswith(".py")
        if is_code and not any((place / path).exists() for place in places):
            wrong.append(span)
        if span.startswith("make ") and span.split()[1] not in targets:
            wrong.append(span)
    assert wrong == []


def test_what_is_not_there_is_found() -> None:
    assert _problem("taskqueue jobs redrive --all --queue mail") == ""
    assert _problem("taskqueue jobs nonsense") == "no such command"
    assert _problem("taskqueue work --nonsense=1") == "no option --nonsense=1"
    assert not _has(tq.TaskQueue, "nonsense")
