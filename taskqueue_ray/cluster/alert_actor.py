"""The alert actor: looks at the queue now and then, judges the rules, and has notices delivered.

It keeps no facts: what stands where and what is still to be told is the queue's. Functions of
users run in a process of their own.
"""

import asyncio
import logging
import os
from collections.abc import Callable

import msgspec

from taskqueue_ray.cluster import config as configs
from taskqueue_ray.cluster import rim
from taskqueue_ray.cluster.courier import Courier
from taskqueue_ray.cluster.handles import QueueHandle
from taskqueue_ray.cluster.judge_line import JudgeLine
from taskqueue_ray.cluster.loop import every
from taskqueue_ray.cluster.surroundings import cluster_nodes, disk_figures
from taskqueue_ray.cluster.termination import Terminable
from taskqueue_ray.core.alerts import Code, Delivery, Notice, Report, Rule, Verdict
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import KeyMissing, QueueClosed, Unavailable
from taskqueue_ray.core.observation import Brief
from taskqueue_ray.engine import logs
from taskqueue_ray.engine.code import PYTHON
from taskqueue_ray.engine.configuration import keyring_of
from taskqueue_ray.engine.figures import Tracker, judge
from taskqueue_ray.engine.job_sink import batch_of
from taskqueue_ray.engine.keyring import Keyring
from taskqueue_ray.engine.payload import Sealer
from taskqueue_ray.engine.sinks import open_config
from taskqueue_ray.engine.telling import (
    Undelivered,
    message_of,
    post_slack,
    post_webhook,
    send_email,
    write_log,
)
from taskqueue_ray.engine.watched import Seen
from taskqueue_ray.executor.judging import Call, Predicate

PREDICATE_PATIENCE = 5.0
CALL_PATIENCE = 30.0
REST = 60.0
"""Seconds for which a predicate rests that hung or killed its process."""

_WAYS: dict[str, Callable[..., None]] = {
    "webhook": post_webhook,
    "slack": post_slack,
    "email": send_email,
}

log = logging.getLogger(__name__)


class AlertActor(Terminable):
    """Watches over one queue, and ends when that has gone for good."""

    actors = "alerts:"

    def __init__(self, config: bytes) -> None:
        self.hear()
        self._config = configs.decode_alerts(config)
        logs.set_up(self._config.log_level, self._config.log_format)
        self._queue = QueueHandle(self._config.queue_actor)
        self._tracker = Tracker()
        self._sealer: Sealer | None = None
        self._predicates: JudgeLine | None = None
        self._calls: JudgeLine | None = None
        self._resting: dict[tuple[str, float], tuple[float, str]] = {}
        self._courier = Courier(self._tell, self._note)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(every(self._config.interval, self._tick, "alerts")),
            loop.create_task(self._leave_when_told()),
        ]

    def __repr__(self) -> str:
        return f"AlertActor({self._config.location})"

    async def pid(self) -> int:
        """Its process, and a sign of life."""
        return os.getpid()

    # --- looking ------------------------------------------------------------------------------

    async def _tick(self) -> None:
        try:
            brief = await self._round(Report())
            seen = await self._look(brief)
            verdicts = [await self._judge(rule, seen) for rule in brief.rules]
            brief = await self._round(Report(verdicts))
        except QueueClosed as gone:
            log.info("the alert actor ends: %s", gone)
            await self._end()
            return
        except Unavailable as error:
            log.warning("alerts: %s", error)
            return
        self._courier.take(brief.notices)

    async def _round(self, report: Report) -> Brief:
        return decode(await self._queue.acall("alert_round", encode(report)), Brief)

    async def _look(self, brief: Brief) -> Seen:
        around = await asyncio.to_thread(disk_figures, self._config.location)
        nodes = await asyncio.to_thread(cluster_nodes)
        alive = float(sum(node.alive for node in nodes))
        figures = self._tracker.take(brief.observation, {**around, "nodes": alive})
        return Seen(brief.observation, {name: dict(by) for name, by in figures.items()}, nodes)

    async def _judge(self, rule: Rule, seen: Seen) -> Verdict:
        if isinstance(rule.when, Code):
            return await self._ask(rule, rule.when, seen)
        active, value, detail = judge(rule.when, seen.figures)
        return Verdict(rule.name, rule.at, active, value, detail)

    async def _ask(self, rule: Rule, code: Code, seen: Seen) -> Verdict:
        if code.python != PYTHON:
            problem = f"it was made by Python {code.python}, and here is {PYTHON}: add it again"
            return Verdict(rule.name, rule.at, False, problem=problem)
        now = asyncio.get_running_loop().time()
        until, problem = self._resting.get((rule.name, rule.at), (0.0, ""))
        if now < until:
            return Verdict(rule.name, rule.at, False, problem=problem)
        try:
            line = await self._line_of_predicates()
        except KeyMissing as error:  # no reason not to judge the others
            return Verdict(rule.name, rule.at, False, problem=str(error))
        question = Predicate(rule.name, code.sealed, code.takes, seen)
        answer = await line.ask(question, PREDICATE_PATIENCE)
        if answer.problem and not line.pid:
            self._resting[rule.name, rule.at] = (now + REST, answer.problem)
        detail = f"{code} holds" if answer.holds else ""
        return Verdict(rule.name, rule.at, answer.holds, None, detail, answer.problem)

    # --- telling --------------------------------------------------------------------------------

    async def _tell(self, notice: Notice, place: int) -> None:
        sink = notice.sinks[place]
        message = message_of(notice, self._config.location)
        if sink.kind == "log":
            write_log(message)
        elif sink.kind == "call":
            question = Call(notice.rule, sink.sealed, msgspec.msgpack.encode(message))
            line = await self._line_of_calls()
            if problem := (await line.ask(question, CALL_PATIENCE)).problem:
                raise Undelivered(problem)
        else:
            sealer = await self._need_sealer()
            config = open_config(sink, sealer, notice.rule)
            if sink.kind == "job":
                batch = batch_of(notice, place, config, message, sealer)
                await self._queue.acall("enqueue", batch)
            else:
                await asyncio.to_thread(_WAYS[sink.kind], config, message)

    async def _note(self, delivery: Delivery) -> None:
        await self._round(Report([], [delivery]))

    # --- keys and processes -----------------------------------------------------------------------

    async def _need_sealer(self) -> Sealer:
        if self._sealer is None:
            self._sealer = Sealer(await self._keyring())
        return self._sealer

    async def _keyring(self) -> Keyring:
        settings = await asyncio.to_thread(rim.settings, self._config.key_file)
        keyring = await asyncio.to_thread(keyring_of, settings)
        if keyring is None:
            raise KeyMissing("of the queue", [])
        return keyring

    async def _line_of_predicates(self) -> JudgeLine:
        if self._predicates is None:
            self._predicates = await self._line()
        return self._predicates

    async def _line_of_calls(self) -> JudgeLine:
        # Of their own: a callable that takes its time is not to keep rules from being judged.
        if self._calls is None:
            self._calls = await self._line()
        return self._calls

    async def _line(self) -> JudgeLine:
        keyring = await self._keyring()
        return JudgeLine({**os.environ, "TASKQUEUE_ENCRYPTION_KEYS": keyring.as_variable()})

    # --- the end ----------------------------------------------------------------------

    async def _leave_when_told(self) -> None:
        await self.told.wait()
        self._close()
        rim.end_process()

    async def _end(self) -> None:
        """For good: whoever opens the queue again makes another."""
        self._close()
        await asyncio.to_thread(rim.end_actor)

    def _close(self) -> None:
        self._courier.close()
        lines: list[Callable[[], None]] = [
            line.close for line in (self._predicates, self._calls) if line is not None
        ]
        for close in lines:
            close()
