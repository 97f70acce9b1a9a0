"""Jobs: the list with its filters, and moves of many, counted before anything moves."""

import time
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.sdk.client import TaskQueue
from taskqueue_ray.sdk.records import JobRecord
from taskqueue_ray.web.api.jobs import moment_or_span
from taskqueue_ray.web.pages.rendering import Entry, back, form_of, one, render
from taskqueue_ray.web.site import site_of
from taskqueue_ray.web.threads import in_thread

router = APIRouter()
ENTRY = Entry("Jobs", "/jobs", "j", "list")

LIMIT = 50
LOOKING = 1.0
"""Seconds that one page looks through jobs for those that fit."""

FILTERS = ("state", "queue", "type", "tag", "category", "workflow", "since")
ERRORS = ("error", "text")
VERBS = {"cancel": "Cancel", "redrive": "Retry"}


class Found(NamedTuple):
    """A page of jobs, and where the next one begins."""

    jobs: list[JobRecord]
    cursor: str | None


@router.get("/jobs")
def jobs(request: Request) -> HTMLResponse:
    """A page of the list."""
    site = site_of(request)
    given = filters_of(dict(request.query_params))
    cursor = request.query_params.get("cursor") or None
    key = ("jobs", tuple(sorted(given.items())), cursor)
    found = site.memory.recall(key, lambda: find(site.queue, given, cursor))
    return render(
        request, "jobs.html", found=found, given=given, cursor=cursor, states=list(JobState),
        queues=[record.queue for record in site.poller.look.queues],
    )  # fmt: skip


@router.get("/jobs/many/{verb}")
def many(request: Request, verb: str) -> HTMLResponse:
    """What a move of all that fit would move: the dry run."""
    site = site_of(request)
    given = filters_of(dict(request.query_params))
    ids = move(site.queue, _known(verb), given, dry_run=True)
    return render(
        request, "many.html", verb=verb, word=VERBS[verb], given=given, count_of=len(ids),
        sample=ids[:10], live=False,
    )  # fmt: skip


@router.post("/jobs/many/{verb}")
async def act_on_many(request: Request, verb: str) -> Response:
    """Move all that fit."""
    site = site_of(request)
    fields = await form_of(request)
    given = filters_of({name: one(fields, name) or "" for name in (*FILTERS, *ERRORS)})
    moved = await in_thread(lambda: move(site.queue, _known(verb), given, dry_run=False))
    target = ", ".join(f"{name}={value}" for name, value in given.items()) or "all"
    outcome = f"{len(moved):,} jobs moved"
    await in_thread(lambda: site.acted(request, verb, target, outcome))
    return back(request, one(fields, "back") or "/jobs", f"{VERBS[verb]}: {outcome}")


@router.post("/jobs/selected")
async def act_on_selected(request: Request) -> Response:
    """Move those that were ticked."""
    site = site_of(request)
    fields = await form_of(request)
    verb, ids = _known(one(fields, "verb") or ""), fields.get("id", [])
    act = site.queue.cancel if verb == "cancel" else site.queue.redrive
    moved = await in_thread(lambda: act(*ids)) if ids else []
    outcome = f"{len(moved):,} of {len(ids):,} jobs moved"
    await in_thread(lambda: site.acted(request, verb, " ".join(ids), outcome))
    return back(request, one(fields, "back") or "/jobs", f"{VERBS[verb]}: {outcome}")


def find(queue: TaskQueue, given: dict[str, str], cursor: str | None) -> Found:
    """A page of jobs that fit. Words of errors are read here: the queue has no key."""
    wanted = _for_sdk({name: given[name] for name in FILTERS if name in given})
    error, text = given.get("error"), given.get("text")
    records: list[JobRecord] = []
    until = time.monotonic() + LOOKING
    while True:
        left = LIMIT - len(records)
        page, cursor = queue.job_page(cursor=cursor, limit=left, seconds=LOOKING, **wanted)
        records += [one for one in page if _errs(one, error, text)]
        if cursor is None or len(records) >= LIMIT or time.monotonic() > until:
            return Found(records, cursor)


def move(queue: TaskQueue, verb: str, given: dict[str, str], *, dry_run: bool) -> list[str]:
    """Move all that fit, or say which would be."""
    wanted = _for_sdk(given)
    if verb == "cancel":
        if beside := [name for name in ERRORS if name in wanted]:
            raise InvalidOption(beside[0], "a filter of errors", "nothing when jobs are cancelled")
        return queue.cancel_all(**wanted, dry_run=dry_run)
    if wanted.pop("state", "failed") != "failed":
        raise InvalidOption("state", ascii(given["state"]), "failed: only such jobs are retried")
    return queue.redrive_all(**wanted, dry_run=dry_run)


def filters_of(query: dict[str, str]) -> dict[str, str]:
    """What was filled in of the filters."""
    return {
        name: query[name].strip() for name in (*FILTERS, *ERRORS) if query.get(name, "").strip()
    }


def _for_sdk(given: dict[str, str]) -> dict[str, Any]:
    wanted: dict[str, Any] = dict(given)
    if "since" in wanted:
        wanted["since"] = moment_or_span(wanted["since"])
    return wanted


def _errs(record: JobRecord, error: str | None, text: str | None) -> bool:
    if error and not f".{record.error_type or ''}".endswith(f".{error}"):
        return False
    return not text or (record.error is not None and text in record.error.message)


def _known(verb: str) -> str:
    if verb not in VERBS:
        raise InvalidOption("verb", ascii(verb)[:80], " or ".join(VERBS))
    return verb
