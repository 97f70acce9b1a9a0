"""The pages for people. One file for each, with a `router` and, for the menu, an `ENTRY`.

A new page is a file here, its template, and its name in `PAGES`.
"""

from fastapi import APIRouter, Depends, Request

from taskqueue_ray.web.pages import (
    actions,
    alerts,
    entering,
    failed,
    history,
    job,
    jobs,
    limits,
    nodes,
    overview,
    planning,
    pools,
    queues,
    reference,
    schedules,
    workers,
    workflows,
)
from taskqueue_ray.web.pages.rendering import menu
from taskqueue_ray.web.site import principal_of, site_of

PAGES = (
    overview, queues, jobs, failed, workflows, schedules, workers, nodes, limits, alerts, history,
    actions, reference, job, planning, pools, entering,
)  # fmt: skip
"""In the order of the menu."""


def router() -> APIRouter:
    """All of them."""
    made = APIRouter(include_in_schema=False, dependencies=[Depends(_attended)])
    for page in PAGES:
        made.include_router(page.router)
    menu[:] = [entry for page in PAGES if (entry := getattr(page, "ENTRY", None)) is not None]
    return made


async def _attended(request: Request) -> None:
    """What is drawn from the last look is drawn from one that was taken lately."""
    if principal_of(request) is not None:
        await site_of(request).poller.attend()
