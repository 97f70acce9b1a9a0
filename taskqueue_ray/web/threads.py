"""Questions to the queue from routes that read a form: they wait, so they go to a thread."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` gives, while the loop serves others."""
    return await asyncio.to_thread(work)
