"""The pages for people. One file for each, with a `router` and, for the menu, an `ENTRY`.

A new page is a file here, its template, and its name in `PAGES`.
"""

from fastapi import APIRouter

from taskqueue_ray.web.pages import (
    actions,
    entering,
    failed,
    history,
    job,
    jobs,
    overview,
    queues,
    reference,
    workers,
    workflows,
)
from taskqueue_ray.web.pages.rendering import menu

PAGES = (
    overview, queues, jobs, failed, workflows, workers, history, actions, reference, job, entering,
)  # fmt: skip
"""In the order of the menu."""


def router() -> APIRouter:
    """All of them."""
    made = APIRouter(include_in_schema=False)
    for page in PAGES:
        made.include_router(page.router)
    menu[:] = [entry for page in PAGES if (entry := getattr(page, "ENTRY", None)) is not None]
    return made
