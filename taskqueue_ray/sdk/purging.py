"""Dropping the records of ended jobs wherever they are: in memory, in a fold, in the history.

A record that a fold is writing into the history can be dropped at neither place until it is there,
so whoever drops it waits for the fold.
"""

from time import monotonic, sleep

from taskqueue_ray.core.errors import Unavailable
from taskqueue_ray.core.exchange import JobFilter
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.paging import pages
from taskqueue_ray.sdk.requests import Ask

PATIENCE = 120.0
"""Seconds to wait for a fold."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
ASK_AGAIN = 10.0
"""Seconds after which a fold is asked for again: the last one may have failed."""


def purge(ask: Ask, wanted: JobFilter, before: float) -> int:
    """Drop all records that match and ended up to `before`; how many that were.

    On return there is none in memory or in the history that matched at the call. Raises
    `Unavailable` when a fold that holds some of them does not end; the others are gone then.
    """
    dropped, held = _purge_memory(ask, wanted, before)
    while held is not None:
        await_fold(ask, held)
        more, held = _purge_memory(ask, wanted, before)
        dropped += more
    # The rows that history keeps of dead letters are its account of the errors: they stay.
    if wanted.state is not JobState.FAILED:
        dropped += ask(requests.prune(wanted, before))
    return dropped


def await_fold(ask: Ask, job_id: JobId) -> None:
    """Return when the record of an ended job has left memory. Raises `Unavailable`."""
    begun = monotonic()
    asked, pause = -ASK_AGAIN, FIRST_PAUSE
    while ask(requests.job(job_id)) is not None:
        waited = monotonic() - begun
        if waited > PATIENCE:
            raise Unavailable("jobs to drop are in a fold into the history that does not end")
        if waited - asked >= ASK_AGAIN:
            asked = waited
            ask(requests.fold())
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _purge_memory(ask: Ask, wanted: JobFilter, before: float) -> tuple[int, JobId | None]:
    """Drop what can be dropped; how many, and the last of those that a fold holds."""
    dropped, held = 0, None
    for page in pages(ask, wanted):
        ids = [view.id for view in page.jobs if view.finished_at <= before]
        gone = set(ask(requests.purge(ids))) if ids else set()
        dropped += len(gone)
        # A dead letter is in no fold's way: one that stays was redriven meanwhile.
        if wanted.state is not JobState.FAILED:
            held = next((one for one in reversed(ids) if one not in gone), held)
    return dropped, held
