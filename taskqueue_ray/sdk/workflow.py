"""Workflows: jobs that belong together, stored as one, cancelled and retried as one."""

import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from taskqueue_ray.core.errors import InvalidOption
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import OnParentFailure
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.timing import Duration
from taskqueue_ray.sdk.batches import Batch
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.job import JobItem, as_item
from taskqueue_ray.sdk.jobgroup import Deadline, JobGroup, for_each
from taskqueue_ray.sdk.mapping import map_item

if TYPE_CHECKING:
    from taskqueue_ray.sdk.client import TaskQueue


class Workflow(JobGroup):
    """Use it as a block: its jobs are stored together, or none of them, when the block ends.

    Handles that `add` gives may be arguments of jobs that are added later. A job whose parent
    failed waits for it to be redriven, so that `retry` goes on where the workflow stopped; with
    `on_parent_failure="cancel"` it is cancelled instead.
    """

    _word = "workflow"

    def __init__(
        self,
        client: "TaskQueue",
        batch: Batch,
        name: str,
        id: str | None = None,
        on_parent_failure: OnParentFailure = "wait",
    ) -> None:
        self.name = check_name("workflow", name)
        its_id = f"{name}:{secrets.token_hex(8)}" if id is None else _check_id(name, id)
        super().__init__(client, batch if id is None else None, its_id)
        self._policy = on_parent_failure

    def add(self, target: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Add a call. Once the workflow has started, it is enqueued at once.

        Raises at once what is wrong with the call itself.
        """
        return self._add(self._own(as_item(target, args, kwargs)))

    def _add(self, item: JobItem[Any]) -> JobHandle[Any]:
        if self._gathered is None:
            handle = self._client.enqueue(item)
        else:
            handle = self._gathered.add(item)
        self._handles.append(handle)
        return handle

    def map(self, target: Any, items: Any, /, **kwargs: Any) -> JobHandle[list[Any]]:
        """Add one job of `target` for each of `items`, with the item as its first argument.

        `items` is a list, or a handle of a job that returns one, or a list of handles. The handle
        stands for the results of all, in the order of the items, and may be an argument of others.
        Other arguments, `kwargs`, are the same for all. Options of `target` are those of each job;
        its `on_parent_failure` says what the failure of one means to the list: with `"continue"`
        there is None in its place.

        >>> sizes = flow.map(resize.options(queue="images"), paths, width=100)  # doctest: +SKIP
        """
        own = self._own(for_each(target))
        return self._add(map_item(self._client.preparer, own, items, kwargs))

    def counts(self) -> dict[JobState, int]:
        """How many of its jobs are in each state, jobs that others have added included."""
        return self._client.count_workflow(self.id)

    def wait(self, timeout: Duration | None = None) -> dict[JobState, int]:
        """Wait until the jobs that were added here have ended; how many ended how."""
        ends = self._ends(Deadline(timeout))
        return dict(Counter(ends)) if len(ends) == len(self._handles) else self.counts()

    def _own(self, item: JobItem[Any]) -> JobItem[Any]:
        """The same call, as one of this workflow."""
        given = item.options
        policy = self._policy if given.on_parent_failure == "cancel" else given.on_parent_failure
        options = msgspec.structs.replace(given, workflow=self.id, on_parent_failure=policy)
        return JobItem(item.job_type, options, item.args, item.kwargs)


def _check_id(name: str, id: str) -> str:
    if not isinstance(id, str) or not id.startswith(f"{name}:") or len(id) > 100:
        raise InvalidOption("workflow id", ascii(id)[:80], f"an id such as {name}:0123456789abcdef")
    return id
