"""Jobs for the tests of the web page."""

import time
from pathlib import Path

import taskqueue_ray as tq


@tq.job(max_attempts=1)
def opens(path: str) -> int:
    return len(Path(path).read_bytes())


@tq.job
def holds(seconds: float) -> None:
    time.sleep(seconds)
