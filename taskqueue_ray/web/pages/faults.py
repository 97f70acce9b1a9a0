"""Pages for what went wrong: in words, with what to do, and back by itself when it is over."""

from fastapi import Request
from fastapi.responses import HTMLResponse

from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.web.pages.rendering import render
from taskqueue_ray.web.problems import status_of

_TITLES = {
    400: "That does not work", 403: "Not allowed", 404: "Not found",
    409: "It has changed meanwhile", 429: "The queue is full", 503: "The queue does not answer",
}  # fmt: skip


def page_of(request: Request, error: TaskQueueError) -> HTMLResponse:
    """The page of an error of the queue. A queue that is away is asked again."""
    status = status_of(error)
    words = [str(error), *map(str, getattr(error, "__notes__", ()))]
    return _page(request, status, " ".join(words))


def page_of_status(request: Request, status: int, words: str) -> HTMLResponse:
    """The page of anything else."""
    return _page(request, status, words)


def _page(request: Request, status: int, words: str) -> HTMLResponse:
    title = _TITLES.get(status, "Something went wrong")
    is_away = status == 503 and request.method == "GET"
    return render(request, "fault.html", status=status, live=is_away, title=title, words=words)
