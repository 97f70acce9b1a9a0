"""The counter of the queue: method names and bytes in, bytes out.

It is the same for the queue actor and for tests without Ray. `METHODS` is the whole protocol.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from taskqueue_ray.core import commands
from taskqueue_ray.core.alerts import Report
from taskqueue_ray.core.blobs import BlobPart, BlobWanted
from taskqueue_ray.core.changes import Changes
from taskqueue_ray.core.demand import LookRequest
from taskqueue_ray.core.envelopes import UNREADABLE, seal_reply
from taskqueue_ray.core.errors import InvalidRequest, TaskQueueError
from taskqueue_ray.core.exchange import (
    AcquireRequest,
    Cursor,
    FireRequest,
    JobFilter,
    WatchRequest,
    WorkerInfo,
    WorkRequest,
)
from taskqueue_ray.core.limits import look
from taskqueue_ray.core.model import JobId, StoredCode
from taskqueue_ray.engine.engine import Engine
from taskqueue_ray.engine.grounds import methods_of

PROTOCOL = 5
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
            "put_schedule": _typed(commands.PutSchedule, engine.scheduling.grow),
            "revise_schedule": _typed(commands.ReviseSchedule, engine.revise),
            "drop_schedule": _typed(commands.DropSchedule, engine.revise),
            "run_schedule": _typed(commands.RunSchedule, engine.scheduling.grow),
            "backfill": _typed(commands.Backfill, engine.scheduling.grow),
            "schedule": _typed(str, engine.scheduling.one),
            "schedules": _typed(
                tuple[str, int], self._read(lambda call: engine.scheduling.page(*call))
            ),
            "fire": _typed(FireRequest, engine.scheduling.fire),
            **{name: _typed(*method) for name, method in methods_of(engine).items()},
            "performance": _typed(float, self._read(engine.measures.performance)),
            "metrics": _typed(None, self._read(lambda _: engine.measures.families())),
            "set_alert": _typed(commands.SetAlert, engine.alerting.carry_out),
            "delete_alert": _typed(commands.DeleteAlert, engine.alerting.carry_out),
            "mute_alert": _typed(commands.MuteAlert, engine.alerting.carry_out),
            "test_alert": _typed(commands.TestAlert, engine.alerting.carry_out),
            "alerts": _typed(None, self._read(lambda _: engine.alerting.view())),
            "alert_round": _typed(Report, engine.alerting.round),
            "observe": _typed(
                None, self._read(lambda _: engine.observing.observe(engine.clock.now()))
            ),
            "set_pool": _typed(commands.SetPool, engine.pools.control),
            "delete_pool": _typed(commands.DeletePool, engine.pools.control),
            "pools": _typed(None, self._read(lambda _: engine.pools.statuses())),
            "look": _typed(LookRequest, engine.pools.look),
            "retire": _typed(list[str], self._read(engine.pools.retire)),
            "set_limit": _typed(commands.SetLimit, engine.control),
            "delete_limit": _typed(commands.DeleteLimit, engine.control),
            "throttle": _typed(commands.Throttle, engine.control),
            "acquire": _typed(AcquireRequest, engine.permits.acquire),
            "limits": _typed(None, self._read(lambda _: look(engine.state, engine.clock.now()))),
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
