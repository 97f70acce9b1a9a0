"""Waiting for what must become true, however slow the machine is."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, within: float = 60.0) -> T:
    """What `look` finds once it finds something; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {within:g} s still not: {what}")
        time.sleep(0.02)
    return found
