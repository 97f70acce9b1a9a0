"""`/metrics`: the counts of the last look in Prometheus' text format."""

from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import Response

from taskqueue_ray.web.look import Look
from taskqueue_ray.web.site import site_of

router = APIRouter(include_in_schema=False)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Counts by queue and state, ages, workers."""
    poller = site_of(request).poller
    await poller.attend()
    up = poller.trouble is None
    lines = [*_head("up", "Whether the queue answers"), f"taskqueue_up {int(up)}"]
    lines += _of(poller.look) if up else []
    return Response("\n".join(lines) + "\n", media_type=MEDIA_TYPE)


def _of(look: Look) -> Iterator[str]:
    yield from _head("jobs", "Jobs by queue and state")
    for queue in look.queues:
        for state, count in queue.counts.items():
            yield f"taskqueue_jobs{_labels(queue=queue.queue, state=state.value)} {count}"
    yield from _head("oldest_waiting_seconds", "Age of the oldest ready job")
    for queue in look.queues:
        if queue.oldest_waiting:
            age = max(0.0, look.at - queue.oldest_waiting.timestamp())
            yield f"taskqueue_oldest_waiting_seconds{_labels(queue=queue.queue)} {age:.3f}"
    yield from _head("retries", "Attempts that were retried")
    for queue in look.queues:
        yield f"taskqueue_retries{_labels(queue=queue.queue)} {queue.retries}"
    yield from _head("workers", "Workers that the queue knows")
    yield f"taskqueue_workers {len(look.workers)}"
    yield from _head("executors", "Jobs that the workers can run at a time")
    yield f"taskqueue_executors {look.slots}"
    yield from _head("executors_busy", "Jobs that they run")
    yield f"taskqueue_executors_busy {look.busy}"


def _head(name: str, words: str) -> list[str]:
    return [f"# HELP taskqueue_{name} {words}", f"# TYPE taskqueue_{name} gauge"]


def _labels(**labels: str) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
