"""The counter of the queue: method names and bytes in, bytes out.

It is the same for the queue actor and for tests without Ray. `METHODS` is the whole protocol.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from taskqueue_ray.core import commands
from taskqueue_ray.core.blobs import BlobPart, BlobWanted
from taskqueue_ray.core.changes import Changes
from taskqueue_ray.core.envelopes import UNREADABLE, seal_reply
from taskqueue_ray.core.errors import InvalidRequest, TaskQueueError
from taskqueue_ray.core.exchange import Cursor, JobFilter, WatchRequest, WorkerInfo, WorkRequest
from taskqueue_ray.core.model import JobId, StoredCode
from taskqueue_ray.engine.engine import Engine

PROTOCOL = 4
"""Rises when a method or a record changes so that an older peer would misread it."""

Bytes = Callable[[bytes], None]
Respond = Callable[[Any], None]


class Desk:
    """Serves requests of clients and workers on an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._methods: dict[str, Callable[[bytes, Respond], None]] = {
            "enqueue": engine.enqueue,
            "enqueue_watched": _typed(tuple[str, bytes], self._enqueue_watched),
            "watch": _typed(WatchRequest, engine.watch),
            "work": _typed(WorkRequest, engine.work),
            "register": _typed(WorkerInfo, engine.register),
            "put_blob": _typed(BlobPart, engine.blobs.put),
            "get_blob": _typed(BlobWanted, engine.blobs.get),
            "store_code": _typed(tuple[str, StoredCode], self._store_code),
            "code": _typed(str, engine.code),
            "job": _typed(JobId, self._job),
            "jobs": _typed(
                tuple[JobFilter, Cursor | None, int],
                self._read(lambda call: engine.insights.jobs(*call)),
            ),
            "stats": _typed(str | None, self._read(engine.insights.stats)),
            "ended": _typed(
                tuple[float, Cursor | None, int],
                self._read(lambda call: engine.insights.ended(*call)),
            ),
            "workers": _typed(
                None, self._read(lambda _: engine.insights.workers(engine.clock.now()))
            ),
            "drain": _typed(str, self._read(engine.drain)),
            "pause": _typed(commands.Pause, engine.control),
            "resume": _typed(commands.Resume, engine.control),
            "configure": _typed(commands.Configure, engine.control),
            "controls": _typed(None, self._read(lambda _: engine.insights.controls())),
            "results": _typed(list[JobId], self._results),
            "workflow": _typed(str, self._workflow),
            "why": _typed(JobId, self._read(engine.why)),
            "fold": _typed(None, self._read(lambda _: engine.folding.request())),
            "cancel": _typed(tuple[str, list[JobId], str], self._cancel),
            "redrive": _typed(tuple[str, list[JobId], Changes], self._redrive),
            "purge": _typed(tuple[str, list[JobId]], self._purge),
        } | self._summaries(engine)

    def _summaries(self, engine: Engine) -> dict[str, Callable[[bytes, Respond], None]]:
        looks = engine.insights
        return {
            "failures": _typed(str | None, self._read(looks.failures)),
            "workflows": _typed(int, self._read(looks.workflows)),
            "tally": _typed(tuple[float, float], self._read(lambda call: looks.tally(*call))),
        }

    def serve(self, method: str, request: bytes, respond: Bytes) -> None:
        """Serve one request; `respond` is called once, with an answer as in `core.envelopes`."""
        serve = self._methods.get(method)

        def reply(value: Any) -> None:
            respond(seal_reply(value))

        if serve is None:
            reply(InvalidRequest(f"there is no method {method!r} in protocol {PROTOCOL}"))
            return
        try:
            serve(request, reply)
        except TaskQueueError as error:
            reply(error)

    def _enqueue_watched(self, call: tuple[str, bytes], respond: Respond) -> None:
        watcher, batch = call
        self._engine.enqueue(batch, respond, watcher)

    def _store_code(self, call: tuple[str, StoredCode], respond: Respond) -> None:
        code_hash, code = call
        self._engine.store_code(code_hash, code, respond)

    def _job(self, job_id: JobId, respond: Respond) -> None:
        # Unlike lists and statistics this may be what somebody acts on: it waits for the commit.
        self._engine.path.answer(respond, self._engine.insights.job(job_id))

    def _results(self, ids: list[JobId], respond: Respond) -> None:
        # Somebody's argument: it waits for the commit, as a job does.
        self._engine.path.answer(respond, self._engine.insights.results(ids))

    def _workflow(self, name: str, respond: Respond) -> None:
        # A callback's argument, likewise.
        self._engine.path.answer(respond, self._engine.insights.workflow(name))

    def _read(self, read: Callable[[Any], Any]) -> Callable[[Any, Respond], None]:
        return lambda call, respond: respond(read(call))

    def _cancel(self, call: tuple[str, list[JobId], str], respond: Respond) -> None:
        command_id, ids, reason = call
        self._engine.command(commands.Cancel(ids, reason), command_id, respond)

    def _redrive(self, call: tuple[str, list[JobId], Changes], respond: Respond) -> None:
        command_id, ids, changes = call
        self._engine.command(commands.Redrive(ids, changes), command_id, respond)

    def _purge(self, call: tuple[str, list[JobId]], respond: Respond) -> None:
        command_id, ids = call
        self._engine.command(commands.Purge(ids), command_id, respond)


def _typed(kind: Any, serve: Callable[[Any, Respond], None]) -> Callable[[bytes, Respond], None]:
    decoder = msgspec.msgpack.Decoder(kind)

    def decoded(request: bytes, respond: Respond) -> None:
        try:
            call = decoder.decode(request)
        except UNREADABLE as error:
            raise InvalidRequest(f"the request cannot be read: {error}") from None
        serve(call, respond)

    return decoded
