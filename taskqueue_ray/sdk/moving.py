"""What a client can do to jobs that are stored: cancel, redrive, drop, hold back."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from taskqueue_ray.core.changes import changes_of
from taskqueue_ray.core.errors import (
    Conflict,
    InvalidOption,
)
from taskqueue_ray.core.exchange import JobFilter
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.timing import Duration, parse_duration
from taskqueue_ray.sdk import requests
from taskqueue_ray.sdk.asking import IN_HISTORY, AnyId, raw_id, raw_ids, texts
from taskqueue_ray.sdk.bulk import ErrorFilter, Selection, move_all
from taskqueue_ray.sdk.filters import filter_of
from taskqueue_ray.sdk.looking import Looking
from taskqueue_ray.sdk.purging import await_fold, purge
from taskqueue_ray.sdk.queues import what


class Moving(Looking):
    """The methods that move jobs. Each has an `a…` twin for async code."""

    def cancel(self, *ids: AnyId, reason: str = "") -> list[str]:
        """Cancel jobs; the ids of those that were waiting or running. Running ones are asked."""
        return texts(self._ask(requests.cancel(raw_ids(ids), reason)))

    async def acancel(self, *ids: AnyId, reason: str = "") -> list[str]:
        """The same for async code."""
        return texts(await self._aask(requests.cancel(raw_ids(ids), reason)))

    def redrive(self, *ids: AnyId, options: Mapping[str, Any] | None = None) -> list[str]:
        """Send dead letters again, with fresh attempts; the ids of those that were dead letters.

        `options` changes some for the jobs' new life: queue, priority, max_attempts, backoff,
        timeout, name, tags, category, retry_on and give_up_on; what it does not name stays. Raises
        `InvalidOption` for others, and `QueueFull`, moving none, when another queue has no room.

        >>> q.redrive(job, options={"queue": "slow", "timeout": "1h"})  # doctest: +SKIP
        """
        return texts(self._ask(requests.redrive(raw_ids(ids), changes_of(options))))

    async def aredrive(self, *ids: AnyId, options: Mapping[str, Any] | None = None) -> list[str]:
        """The same for async code."""
        return texts(await self._aask(requests.redrive(raw_ids(ids), changes_of(options))))

    def redrive_all(
        self,
        *,
        queue: str | None = None,
        type: str | None = None,
        tag: str | None = None,
        category: str | None = None,
        workflow: str | None = None,
        since: Duration | datetime | None = None,
        error: str | None = None,
        text: str | None = None,
        options: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> list[str]:
        """Send all dead letters again that fit all that is given; their ids.

        `error` is the type of the last error, with or without its module; `text` is in its message,
        which is read here, since the queue cannot. `options` is as in `redrive`; the jobs move some
        hundred at a time, each portion as a whole. With `dry_run` nothing moves.

        >>> q.redrive_all(queue="mail", error="TimeoutError", dry_run=True)  # doctest: +SKIP
        """
        wanted = filter_of(JobState.FAILED, queue, type, tag, category, workflow, since)
        chosen = Selection(wanted, ErrorFilter(error, text))
        changes = changes_of(options)
        found = move_all(
            self._ask,
            self.opener,
            lambda ids: requests.redrive(ids, changes),
            chosen,
            dry_run=dry_run,
        )
        return texts(found)

    async def aredrive_all(self, **wanted: Any) -> list[str]:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.redrive_all(**wanted))

    def cancel_all(
        self,
        *,
        state: JobState | str | None = None,
        queue: str | None = None,
        type: str | None = None,
        tag: str | None = None,
        category: str | None = None,
        workflow: str | None = None,
        since: Duration | datetime | None = None,
        reason: str = "",
        dry_run: bool = False,
    ) -> list[str]:
        """Cancel all jobs that wait or run and fit all that is given; their ids.

        Running ones are asked to stop. Without any filter that is every job. With `dry_run`
        nothing moves.
        """
        wanted = filter_of(state, queue, type, tag, category, workflow, since)
        if wanted.state is not None and wanted.state.final:
            raise InvalidOption("state", ascii(state), "a state of jobs that have not ended")
        found = move_all(
            self._ask,
            self.opener,
            lambda ids: requests.cancel(ids, reason),
            Selection(wanted),
            dry_run=dry_run,
        )
        return texts(found)

    async def acancel_all(self, **wanted: Any) -> list[str]:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.cancel_all(**wanted))

    retry = redrive
    aretry = aredrive
    retry_all = redrive_all
    aretry_all = aredrive_all

    def pause(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """Lease no jobs of a queue, a type or a tag from now on; what runs goes on.

        Holds for the whole cluster, and after a restart. False when it was paused already.
        """
        return self._ask(requests.pause(*what(queue, type, tag)))

    async def apause(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """The same for async code."""
        return await self._aask(requests.pause(*what(queue, type, tag)))

    def resume(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """Lease such jobs again; False when they were not paused."""
        return self._ask(requests.resume(*what(queue, type, tag)))

    async def aresume(
        self, queue: str | None = None, *, type: str | None = None, tag: str | None = None
    ) -> bool:
        """The same for async code."""
        return await self._aask(requests.resume(*what(queue, type, tag)))

    def delete(self, id: AnyId) -> None:
        """Drop the record of a job that has ended. Raises `Conflict` for one that has not.

        Its id stays taken for as long as memory reaches back (a day): it is not to run again.
        """
        job_id = raw_id(id)
        while not self._drop(job_id):
            record = self.job(id)
            if record.state not in IN_HISTORY:
                raise Conflict(record.id, record.state.value, "delete")
            await_fold(self._ask, job_id)

    async def adelete(self, id: AnyId) -> None:
        """The same for async code."""
        await asyncio.to_thread(self.delete, id)

    def purge(
        self, *, state: JobState | str, older_than: Duration = 0, queue: str | None = None
    ) -> int:
        """Drop the records of jobs that ended in `state` some time ago; how many that were.

        None that matched at the call is left, in memory or in the history. This waits for a fold
        that is moving some of them, and raises `Unavailable` when that does not end.

        >>> q.purge(state="completed", older_than="30d")  # doctest: +SKIP
        """
        wanted = filter_of(state, queue)
        if wanted.state is None or not wanted.state.final:
            raise InvalidOption("state", ascii(state), "a final state: a purge drops ended jobs")
        before = time.time() - parse_duration(older_than, "older_than")
        return purge(self._ask, wanted, before)

    async def apurge(self, **wanted: Any) -> int:
        """The same for async code."""
        return await asyncio.to_thread(lambda: self.purge(**wanted))

    def _drop(self, job_id: JobId) -> bool:
        in_memory = self._ask(requests.purge([job_id]))
        return bool(in_memory) or self._ask(requests.prune(JobFilter(), 0.0, [job_id])) > 0
