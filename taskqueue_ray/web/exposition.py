"""`/metrics`: all that the queue measures, in Prometheus' text format."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.sdk.exposition import CONTENT_TYPE
from taskqueue_ray.web.site import site_of

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """The metrics; of a queue that does not answer, only that."""
    site = site_of(request)
    try:
        text = site.memory.recall("metrics", site.queue.prometheus)
    except TaskQueueError:
        text = ""
    head = "# HELP taskqueue_up Whether the queue answers\n# TYPE taskqueue_up gauge\n"
    return Response(f"{head}taskqueue_up {int(bool(text))}\n{text}", media_type=CONTENT_TYPE)
