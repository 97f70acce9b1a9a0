"""What the documents say is true: their examples run, their generated parts and links are current.

In README.md and docs/, each `python` block runs as a program of its own, and the `$ taskqueue …`
lines of each `console` block run in order. A comment before a block changes that:
`<!-- not run -->` skips it, `<!-- continues -->` joins it to the block before.
"""

import importlib.util
import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from tests.cluster.place import Place

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FRONT = [page for page in PAGES if page not in GUIDES]


class Block(NamedTuple):
    """A fenced block: its page, the line it starts on, its language and its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _blocks(page: Path) -> list[Block]:
    blocks: list[Block] = []
    remark = ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and remark != "<!-- not run -->":
            line = token.map[0] + 1 if token.map else 0
            block = Block(page, line, token.info.strip(), token.content)
            if remark == "<!-- continues -->":
                before = blocks.pop()
                block = before._replace(text=f"{before.text}\n{block.text}")
            blocks.append(block)
        remark = token.content.strip() if token.type == "html_block" else ""
    return blocks


def _of(language: str, pages: list[Path]) -> list[Block]:
    """The blocks of that language that do something."""
    blocks = [block for page in pages for block in _blocks(page) if block.language == language]
    return [block for block in blocks if language != "console" or _commands(block)]


def _commands(block: Block) -> list[list[str]]:
    lines = (line for line in block.text.splitlines() if line.startswith("$ taskqueue"))
    return [shlex.split(line[2:], comments=True) for line in lines]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user with nothing set up: an empty home, a storage of its own, no Ray to join."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TASKQUEUE_", "RAY_"))}
    home = tmp_path / "home"
    home.mkdir()
    return inherited | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "TASKQUEUE_STORAGE": str(tmp_path / "queue"),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.fixture
def joined(
    environment: dict[str, str], shared_ray: str, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """The same user with a cluster to join, which starts faster than one's own."""
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    yield environment | {"RAY_ADDRESS": shared_ray, "TASKQUEUE_KEY_FILE": str(key)}
    place = Place(tmp_path)  # whose queue is the user's too
    place.leave()


def _run_program(block: Block, where: Path, environment: dict[str, str]) -> None:
    program = where / "example.py"
    program.write_text(block.text, encoding="utf-8")
    _run([sys.executable, str(program)], where, environment)


def _run(command: list[str], where: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=where, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.cluster
@pytest.mark.parametrize("block", _of("python", FRONT), ids=lambda block: block.name)
def test_example_runs(block: Block, tmp_path: Path, environment: dict[str, str]) -> None:
    _run_program(block, tmp_path, environment)


@pytest.mark.cluster
@pytest.mark.parametrize("block", _of("python", GUIDES), ids=lambda block: block.name)
def test_example_of_a_guide_runs(block: Block, tmp_path: Path, joined: dict[str, str]) -> None:
    _run_program(block, tmp_path, joined)


@pytest.mark.cluster
@pytest.mark.parametrize("block", _of("console", FRONT), ids=lambda block: block.name)
def test_commands_run(block: Block, tmp_path: Path, environment: dict[str, str]) -> None:
    for command in _commands(block):
        _run(command, tmp_path, environment)


@pytest.mark.cluster
@pytest.mark.parametrize("block", _of("console", GUIDES), ids=lambda block: block.name)
def test_commands_of_a_guide_run(block: Block, tmp_path: Path, joined: dict[str, str]) -> None:
    for command in _commands(block):
        _run(command, tmp_path, joined)


@pytest.mark.cluster
@pytest.mark.parametrize(
    "program", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name
)
def test_example_file_runs(program: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    _run([sys.executable, str(program)], tmp_path, environment)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_current() -> None:
    assert _load(ROOT / "docs" / "generate.py").outdated() == [], "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_each_named_test_exists() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert named, "guarantees.md names the tests that show them"
    missing = [f"{file}::{test}" for file, test in named if not _has(ROOT / file, test)]
    assert missing == []


def _has(file: Path, test: str) -> bool:
    if not file.exists():
        return False
    source = file.read_text(encoding="utf-8")
    return (
        not test
        or re.search(rf"^\s*(async )?def {test}\b|^class {test}\b", source, re.M) is not None
    )
