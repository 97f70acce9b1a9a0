"""What many open pages cost the queue: one poll for all, and next to nothing of a processor."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from taskqueue_ray.web import WebOptions
from tests.browser import served
from tests.cluster import dashboard_jobs
from tests.cluster.place import Place

TOKEN = "the-operator-of-tests"
PAGES, SECONDS = 50, 20.0
MOST = 0.02
"""Of one core."""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fifty_open_pages_cost_the_queue_next_to_nothing(place: Place, tmp_path: Path) -> None:
    q = place.connect()
    for n in range(200):
        _ = dashboard_jobs.holds.options(delay=3600, queue=f"q{n % 20}").enqueue(1)
    actor = psutil.Process(place.ping().pid)
    rest = _share(actor, lambda: time.sleep(SECONDS))
    options = WebOptions(operator_token=TOKEN, audit_file=tmp_path / "audit.jsonl")
    with served(q, options) as site:
        port = int(site.rpartition(":")[2])
        events: list[int] = []
        busy = _share(actor, lambda: events.extend(asyncio.run(_watch(port))))
    print(f"queue actor: {rest:.2%} of a core at rest, {busy:.2%} with {PAGES} pages open")
    assert len(events) == PAGES
    assert min(events) >= SECONDS / 2  # each heard news about once a second
    assert busy - rest <= MOST


def _share(process: psutil.Process, work: Callable[[], object]) -> float:
    before, begun = process.cpu_times(), time.monotonic()
    work()
    after = process.cpu_times()
    used: float = after.user + after.system - before.user - before.system
    return used / (time.monotonic() - begun)


async def _watch(port: int) -> list[int]:
    """Fifty listen to the stream, and load the list again every other second."""
    return list(await asyncio.gather(*(_listen(port) for _ in range(PAGES))))


async def _listen(port: int) -> int:
    reader, writer = await _ask(port, "/live")
    until, heard = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        line = await asyncio.wait_for(reader.readline(), 15.0)
        if line.startswith(b"event: tick"):
            heard += 1
            if heard % 2:
                page, sent = await _ask(port, "/jobs")
                assert b" 200 " in await page.readline()
                await page.read()
                sent.close()
    writer.close()
    return heard


async def _ask(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    await writer.drain()
    return reader, writer
