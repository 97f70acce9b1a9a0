"""Moves of all jobs that fit a filter: `redrive_all` and `cancel_all`."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.exchange import JobFilter, JobView
from taskqueue_ray.core.model import JobId
from taskqueue_ray.sdk.opening import Opener
from taskqueue_ray.sdk.paging import pages
from taskqueue_ray.sdk.requests import Ask, Request


class ErrorFilter(NamedTuple):
    """Which last errors are meant: of this type, with this text in its message. None: any."""

    type: str | None = None
    text: str | None = None

    def matches(self, view: JobView, opener: Opener) -> bool:
        """Whether a job's last error is meant. The text is read here: the queue has no key."""
        if self.type is None and self.text is None:
            return True
        if not view.history:
            return False
        failure = view.history[-1].failure
        if self.type is not None and not f".{failure.error_type}".endswith(f".{self.type}"):
            return False
        problem = opener.problem(view.id, view.options.type, failure) if self.text else None
        return problem is None or str(self.text) in problem.message


class Selection(NamedTuple):
    """The jobs that a bulk move is for."""

    wanted: JobFilter
    error: ErrorFilter = ErrorFilter()

    def pages(self, ask: Ask, opener: Opener) -> Iterator[list[JobId]]:
        """Their ids, page by page. Jobs that come meanwhile may be among them."""
        for page in pages(ask, self.wanted):
            fitting = [view for view in page.jobs if self._means(view, opener)]
            if fitting:
                yield [view.id for view in fitting]
            if page.cursor is not None and page.cursor.part == "ended":
                return

    def _means(self, view: JobView, opener: Opener) -> bool:
        is_meant = view.state is self.wanted.state or not view.state.final
        return is_meant and self.error.matches(view, opener)


Move = Callable[[list[JobId]], Request[list[JobId]]]
"""The request that moves jobs."""


def move_all(
    ask: Ask, opener: Opener, move: Move, chosen: Selection, *, dry_run: bool
) -> list[JobId]:
    """Move them; the ids of those that moved, or would be moved if nothing hinders it.

    A refusal stops here. Pages before it have moved; a note on the error says how many jobs.
    """
    moved: list[JobId] = []
    try:
        for ids in chosen.pages(ask, opener):
            moved += ids if dry_run else ask(move(ids))
    except TaskQueueError as refusal:
        if moved and not dry_run:
            refusal.add_note(f"{len(moved):,} jobs were moved before that")
        raise
    return moved
