"""Vectorized jobs that can be imported, as an application's are."""

from dataclasses import dataclass
from typing import Any

import taskqueue_ray as tq


@tq.job(queue="models", batch=tq.Batch(max_size=8), tags=["gpu"])
def embed(texts: list[str]) -> list[list[float]]:
    return [[float(len(text))] for text in texts]


@dataclass
class Prompt:
    model: str
    text: str
    tokens: int = 16


@tq.job(batch=tq.Batch(key="model"))
def generate(prompts: list[Prompt]) -> list[str | ValueError]:
    return [prompt.text.upper() if prompt.text else ValueError("empty") for prompt in prompts]


@tq.job(batch=tq.Batch())
def pairs(items: "list[tuple[int, str]]") -> list[Prompt]:
    return [Prompt(text, text, number) for number, text in items]


@tq.job(batch=tq.Batch())
def anything(items):  # type: ignore[no-untyped-def]  # nothing is declared
    return list(items)


class Classify(tq.Job):
    queue = "models"
    batch = tq.Batch(max_size=4, max_wait=0)

    def setup(self) -> None:
        self.labels = {"cat.png": "cat"}

    def handle_batch(self, payloads: list[dict[str, Any]]) -> list[str | Exception]:
        for payload in payloads:
            payload["seen"] = True
        return [self.labels.get(payload["path"], "unknown") for payload in payloads]


class Plain(tq.Job):
    """Handles one at a time, with something warm."""

    def setup(self) -> None:
        self.prefix = "warm"

    def handle(self) -> str:
        return f"{self.prefix} {self.payload['word']} {self.id}"
