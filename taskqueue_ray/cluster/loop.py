"""The one loop of this package: wait, tick, go on. Whatever a tick raises is logged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


async def every(seconds: float, tick: Callable[[], Awaitable[None]], name: str) -> None:
    """Run `tick` again and again, `seconds` after its last end, until cancelled."""
    while True:
        try:
            await tick()
        except Exception:
            log.exception("%s: a tick failed; the next one follows", name)
        await asyncio.sleep(seconds)
