"""Batches: jobs of which one wants to know when all have ended, and how."""

import asyncio
import inspect
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from taskqueue_ray.core.errors import (
    BatchEnded,
    InvalidOption,
    JobNotFound,
    ResultTimeout,
)
from taskqueue_ray.core.exchange import BatchSummary
from taskqueue_ray.core.identity import derive_job_id, from_text, to_text
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId, OnParentFailure
from taskqueue_ray.core.naming import check_name
from taskqueue_ray.core.options import JobOptions
from taskqueue_ray.core.timing import Duration
from taskqueue_ray.core.views import summary_of
from taskqueue_ray.engine.annotations import hints_of
from taskqueue_ray.sdk.batches import Batch
from taskqueue_ray.sdk.handle import JobHandle
from taskqueue_ray.sdk.ids import source
from taskqueue_ray.sdk.inputs import CountsOf
from taskqueue_ray.sdk.job import JobItem, as_item
from taskqueue_ray.sdk.jobgroup import Deadline, JobGroup, for_each
from taskqueue_ray.sdk.mapping import map_item

if TYPE_CHECKING:
    from taskqueue_ray.sdk.client import TaskQueue

POLICIES: dict[str, OnParentFailure] = {
    "on_success": "wait",
    "on_complete": "continue",
    "on_failure": "only",
}
"""The callbacks, and what the failure of a job of the batch means to each.

`on_success` waits for a dead letter to be redriven; one that was cancelled or that expired cancels
it, since it can no longer run.
"""

PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks at a batch of which this program does not know all jobs."""


class JobBatch(JobGroup):
    """Use it as a block: its jobs and callbacks are stored together, or none of them, at its end.

    A callback is an ordinary job, with its own retries. `on_success` runs when all have completed,
    `on_complete` when all have ended, `on_failure` when all have ended and one did not complete.
    A cancelled batch has ended, so its callbacks run; `on_success` runs when a retry completes it.
    One with a parameter named `summary`, or annotated with `tq.BatchSummary`, gets the counts.
    """

    _word = "batch"

    def __init__(
        self,
        client: "TaskQueue",
        gathered: Batch,
        name: str | None,
        id: str | None,
        callbacks: Mapping[str, Any],
    ) -> None:
        given = {kind: target for kind, target in callbacks.items() if target is not None}
        if id is None:
            self._base = source.draw()
            its_id = f"{check_name('batch', name)}:{to_text(self._base)}"
        else:
            self._base, its_id = _base_of(id), id
            if given or (name is not None and not id.startswith(f"{name}:")):
                raise InvalidOption("batch id", id, "an id alone: it has its name and callbacks")
        super().__init__(client, gathered if id is None else None, its_id)
        self._open: tuple[JobId, ...] | None = None
        """The callbacks for which a job that is added is to be waited for, once looked for."""
        self._callbacks = {kind: self._callback(kind, target) for kind, target in given.items()}

    def add(self, target: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Add a call. Once the batch has started it is enqueued at once.

        That may be done from the code of its jobs: `tq.connect().batch(id=…).add(…)`; the callbacks
        wait for it too. Raises `BatchEnded` when one of them no longer waits.
        """
        return self._add(as_item(target, args, kwargs))

    def add_many(self, items: Iterable[JobItem[Any]]) -> list[JobHandle[Any]]:
        """Add many calls, which travel together once the batch has started. As `add` for the rest.

        >>> b.add_many(load.item(row) for row in rows)  # doctest: +SKIP
        """
        calls = (self._checked(as_item(item, (), {})) for item in items)
        if self._gathered is not None:
            return [self._add(item) for item in calls]
        before = self._open_callbacks()
        handles = self._client.enqueue_many(self._own(item, before) for item in calls)
        self._handles += handles
        return handles

    async def aadd(self, target: Any, /, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """The same for async code."""
        return await asyncio.to_thread(self.add, target, *args, **kwargs)

    def map(self, target: Any, items: Any, /, **kwargs: Any) -> JobHandle[list[Any]]:
        """Add one job of `target` for each of `items`, as `Workflow.map` does.

        One more job stands for the list; the callbacks wait for all of them.
        """
        item = for_each(target)
        ends = self._callbacks if self._gathered is not None else self._found()
        # What runs after success may be cancelled while the jobs are yet to come.
        before = tuple(self._id_of(kind) for kind in ends if kind != "on_success")
        options = replace(item.options, workflow=self.id, before=before)
        own: JobItem[Any] = JobItem(item.job_type, options, item.args, item.kwargs)
        return self._add(map_item(self._client.preparer, own, items, kwargs))

    def _complete(self, gathered: Batch) -> None:
        ids = tuple(handle.raw_id for handle in self._handles)
        for kind, item in self._callbacks.items():
            if not ids and kind == "on_failure":
                continue  # nothing can fail
            depends_on = (*item.options.depends_on, *ids)
            options = replace(item.options, depends_on=depends_on)
            _ = gathered.add(JobItem(item.job_type, options, item.args, item.kwargs))

    def progress(self) -> BatchSummary:
        """How many of its jobs there are, have ended, and have failed; callbacks not counted."""
        return summary_of(self.id, self._client.count_workflow(self.id))

    async def aprogress(self) -> BatchSummary:
        """The same for async code."""
        return await asyncio.to_thread(self.progress)

    def wait(self, timeout: Duration | None = None) -> BatchSummary:
        """Wait until all its jobs have ended, those included that others added.

        Callbacks may run still: wait for theirs with `callback`. Raises `ResultTimeout`.
        """
        deadline = Deadline(timeout)
        self._ends(deadline)
        pause = PAUSE
        while (found := self.progress()).done < found.total:
            left = deadline.left()
            if left == 0.0:
                at = f"at {found.done} of {found.total}"
                raise ResultTimeout(self.id, deadline.seconds or 0.0, at)
            time.sleep(pause if left is None else min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
        return found

    async def await_end(self) -> BatchSummary:
        """The same for async code."""
        return await asyncio.to_thread(self.wait)

    def callback(self, kind: str) -> JobHandle[Any]:
        """The job of a callback, `"on_success"`, `"on_complete"` or `"on_failure"`."""
        if kind not in POLICIES:
            raise InvalidOption("callback", ascii(kind)[:80], ", ".join(map(repr, POLICIES)))
        return self._client.handle(self._id_of(kind))

    # --- inside -----------------------------------------------------------------------------

    def _add(self, item: JobItem[Any]) -> JobHandle[Any]:
        self._checked(item)
        if self._gathered is None:
            handle = self._join(item)
        else:
            handle = self._gathered.add(self._own(item, ()))
        self._handles.append(handle)
        return handle

    def _checked(self, item: JobItem[Any]) -> JobItem[Any]:
        rule = item.options.unique
        if rule is not None and rule.on_conflict == "drop":
            raise InvalidOption("unique on_conflict", "'drop'", "another one: a batch waits for it")
        return item

    def _join(self, item: JobItem[Any]) -> JobHandle[Any]:
        """Enqueue a job for which the callbacks wait too."""
        try:
            before = self._open_callbacks() if self._open is None else self._open
            return self._client.enqueue(self._own(item, before))
        except BatchEnded:
            # What runs after success may have been cancelled since we looked; else it is so.
            return self._client.enqueue(self._own(item, self._open_callbacks()))

    def _open_callbacks(self) -> tuple[JobId, ...]:
        """Those that wait still. Raises `BatchEnded`."""
        waiting = []
        for kind, state in self._found().items():
            if state is JobState.BLOCKED:
                waiting.append(self._id_of(kind))
            elif kind != "on_success" or state is not JobState.CANCELLED:
                raise BatchEnded(to_text(self._id_of(kind)))
        self._open = tuple(waiting)
        return self._open

    def _found(self) -> dict[str, JobState]:
        """The callbacks that the batch has, and their states."""
        found: dict[str, JobState] = {}
        for kind in POLICIES:
            try:
                found[kind] = self._client.job(self._id_of(kind)).state
            except JobNotFound:
                continue
        return found

    def _own(self, item: JobItem[Any], before: tuple[JobId, ...]) -> JobItem[Any]:
        options = replace(item.options, workflow=self.id, before=before)
        return JobItem(item.job_type, options, item.args, item.kwargs)

    def _callback(self, kind: str, target: Any) -> JobItem[Any]:
        item = as_item(target, (), {})
        _check_callback(kind, item.options)
        options = replace(
            item.options, id=self._id_of(kind), on_parent_failure=POLICIES[kind], workflow=""
        )
        kwargs = dict(item.kwargs)
        for name in _summary_parameters(item):
            kwargs[name] = CountsOf(self.id)
        return JobItem(item.job_type, options, item.args, kwargs)

    def _id_of(self, kind: str) -> JobId:
        return derive_job_id(self._base, kind)


def _check_callback(kind: str, options: JobOptions) -> None:
    if options.unique is not None:
        raise InvalidOption(f"unique of {kind}", "a rule", "nothing: it might not be stored then")


def _summary_parameters(item: JobItem[Any]) -> list[str]:
    """The parameters that take the summary, of those that were given nothing."""
    target: Any = item.job_type.target
    if item.job_type.is_class:
        return []
    hints = hints_of(target)
    parameters = list(inspect.signature(target).parameters)[len(item.args) :]
    return [
        name
        for name in parameters
        if name not in item.kwargs and (name == "summary" or hints.get(name) is BatchSummary)
    ]


def _base_of(id: object) -> JobId:
    name, _, base = str(id).rpartition(":")
    try:
        check_name("batch", name)
        return from_text(base)
    except InvalidOption:
        accepts = "an id such as import:018f3c5e000070008000012345678900"
        raise InvalidOption("batch id", ascii(id)[:80], accepts) from None
