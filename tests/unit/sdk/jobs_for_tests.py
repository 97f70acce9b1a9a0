"""Jobs that can be imported, as an application's are."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import taskqueue_ray as tq


@dataclass
class Order:
    id: uuid.UUID
    at: datetime
    lines: tuple[str, ...] = ()


@tq.job(queue="mail", tags=["mail"], priority=tq.Priority.HIGH)
def send(to: str, subject: str = "", times: int = 1) -> str:
    return f"{to}: {subject * times}"


@tq.job
def ship(order: Order) -> Order:
    return Order(order.id, order.at, (*order.lines, "shipped"))


@tq.job(max_attempts=1)
def break_down(why: str) -> None:
    raise ValueError(why)


@tq.job(max_attempts=3, backoff=tq.Backoff.fixed("10s"))
def flaky(good: int) -> int:
    attempt = tq.current().attempt
    if attempt < good:
        raise ValueError(f"attempt {attempt}")
    return attempt


@tq.job
async def fetch(x: int) -> int:
    return x + 1


@tq.job
def parent(n: int) -> list[str]:
    tq.current().progress(1, 2, "half")
    return [handle.id for handle in (send.enqueue(f"child {i}") for i in range(n))]


class Resize(tq.Job):
    queue = "images"
    priority = 7
    tags = ("img",)

    def handle(self) -> str:
        self.payload["done"] = self.id
        return str(self.payload["path"])


def undecorated(x: int) -> int:
    return x * 10


def untyped(x: Any) -> Any:
    return x


@tq.job(max_attempts=2, backoff=tq.Backoff.fixed("10s"))
def copy(pages: int, stop_at: int) -> list[int]:
    """Copies pages from where it was, and breaks down once, at one of them."""
    done = tq.current().checkpoint() or 0
    copied = []
    for page in range(done, pages):
        if page == stop_at and page != done:
            raise ConnectionError("no answer")
        copied.append(page)
        tq.current().checkpoint(page + 1)
    return copied
