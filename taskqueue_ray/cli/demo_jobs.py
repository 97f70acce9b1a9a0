"""The jobs of the demo: digests of real source files."""

import ast
import hashlib
import os
import sysconfig
import warnings
from pathlib import Path
from typing import NamedTuple

from taskqueue_ray.engine.context import current
from taskqueue_ray.sdk.job import job

QUEUE = "digest"
FOREIGN = frozenset(("site-packages", "dist-packages", "__pycache__"))


class Digest(NamedTuple):
    """What a file is like. `nodes` of its syntax tree is -1 when it is no Python of today."""

    lines: int
    size: int
    sha256: str
    nodes: int


class NotYet(Exception):
    """What a file that was chosen for it raises in its first attempt."""


def digest(path: str) -> Digest:
    """Read and measure one file."""
    data = Path(path).read_bytes()
    return Digest(data.count(b"\n"), len(data), hashlib.sha256(data).hexdigest(), _nodes(data))


@job(queue=QUEUE, max_attempts=3, timeout=60, tags=["demo"])
def digest_file(path: str, fail_first: bool = False) -> Digest:
    """The same as a job."""
    if fail_first and current().attempt == 1:
        raise NotYet("this file was chosen to fail once")
    return digest(path)


@job(queue=QUEUE, max_attempts=2, timeout=60, tags=["demo", "poison"])
def take_the_process_down() -> None:
    """A poison job: each attempt ends its process without a word."""
    os._exit(70)


def library_files() -> list[str]:
    """The `.py` files of this Python's standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return sorted(
        str(path)
        for path in root.rglob("*.py")
        if path.is_file() and FOREIGN.isdisjoint(path.relative_to(root).parts)
    )


def _nodes(data: bytes) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError):
        return -1
    return sum(1 for _ in ast.walk(tree))
