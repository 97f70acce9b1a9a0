"""Functions of alert rules in their own process: what they do to it harms nobody."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from taskqueue_ray.cluster.judge_line import JudgeLine
from taskqueue_ray.core.exchange import QueueStats, WorkerInfo, WorkerView
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.observation import Observation
from taskqueue_ray.engine.functions import seal_function
from taskqueue_ray.engine.keyring import Key, Keyring
from taskqueue_ray.engine.payload import Kind, Sealer
from taskqueue_ray.engine.watched import Node, Seen
from taskqueue_ray.executor.judging import Answer, Call, Predicate

KEYRING = Keyring([Key(bytes(32))])
SEALER = Sealer(KEYRING)
ENVIRONMENT = {**os.environ, "TASKQUEUE_ENCRYPTION_KEYS": KEYRING.as_variable()}

_STATS = QueueStats("mail", 9, {JobState.PENDING: 7, JobState.FAILED: 2})
_WORKER = WorkerView(WorkerInfo("w", ("mail",), 4, "3.11", (), node="n1"), 3, [], 0.5, False)
SEEN = Seen(
    Observation(100.0, [_STATS], [_WORKER]),
    {
        "pending": {"mail": 7.0, "": 7.0},
        "failed": {"mail": 2.0, "": 2.0},
        "oldest_waiting": {"mail": 60.0, "": 60.0},
        "failure_rate": {"": 0.25},
    },
    [Node("n1", True, "host", {"CPU": 4.0})],
)


def _predicate(function: Any, *takes: str) -> Predicate:
    return Predicate("r", seal_function(function, (), SEALER, Kind.PREDICATE, "r"), takes, SEEN)


def _ask(*questions: Any, patience: float = 10.0) -> list[Answer]:
    async def act(line: JudgeLine) -> list[Answer]:
        return [await line.ask(question, patience) for question in questions]

    answers: list[Answer] = _with_line(act)
    return answers


def _with_line(act: Callable[[JudgeLine], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        line = JudgeLine(ENVIRONMENT)
        try:
            return await act(line)
        finally:
            line.close()

    return asyncio.run(run())


def test_a_predicate_sees_what_its_parameters_name() -> None:
    def all_of_it(stats: Any, workers: Any, metrics: Any, nodes: Any) -> bool:
        assert (stats.pending, stats["mail"].failed, stats["nobody"].pending) == (7, 2, 0)
        assert stats.oldest_waiting == 60.0
        assert [(one.id, one.held, one.node) for one in workers] == [("w", 3, "n1")]
        assert metrics.failure_rate == metrics["failure_rate"] == 0.25
        assert metrics.of("mail")["pending"] == 7
        assert metrics.get("storage_used", 0) == 0
        assert nodes[0].resources == {"CPU": 4.0}
        return True

    answers = _ask(
        _predicate(all_of_it, "stats", "workers", "metrics", "nodes"),
        _predicate(lambda stats: stats.pending > 100, "stats"),
        _predicate(lambda stats: stats.pending and "yes", "stats"),
        _predicate(lambda stats: stats.depth > 1, "stats"),
        _predicate(lambda metrics: metrics.depth > 1, "metrics"),
    )
    assert answers[:3] == [Answer(True), Answer(False), Answer(True)]
    assert "stats have no 'depth'; they have queue, scheduled" in answers[3].problem
    assert "there is no 'depth' now; there are pending" in answers[4].problem


def test_what_it_does_to_its_process_is_a_problem_of_its_own() -> None:
    def kills(stats: Any) -> bool:
        os._exit(0)

    def hangs(stats: Any) -> bool:
        time.sleep(600)
        return True

    async def act(line: JudgeLine) -> None:
        good = _predicate(lambda stats: True, "stats")
        assert await line.ask(good, 10.0) == Answer(True)
        first = line.pid
        assert "ended the process" in (await line.ask(_predicate(kills, "stats"), 10.0)).problem
        assert await line.ask(good, 10.0) == Answer(True)
        second = line.pid
        assert second != first
        hung = await line.ask(_predicate(hangs, "stats"), 0.2)
        assert "did not end within 0.2 s" in hung.problem
        assert not psutil.pid_exists(second)
        assert await line.ask(good, 10.0) == Answer(True)
        third = line.pid
        line.close()
        assert not psutil.pid_exists(third)

    _with_line(act)


def test_a_callable_is_told(tmp_path: Path) -> None:
    target = tmp_path / "told"

    def note(alert: dict[str, Any]) -> None:
        print("what it prints is no answer")
        target.write_text(f"{alert['rule']} {os.getpid()}")

    def refuses(alert: dict[str, Any]) -> None:
        raise ValueError("not today")

    message = msgspec.msgpack.encode({"rule": "deep"})
    sealed = [seal_function(one, (), SEALER, Kind.SINK, "deep") for one in (note, refuses)]
    answers = _ask(*(Call("deep", one, message) for one in sealed))
    assert answers == [Answer(), Answer(problem="ValueError: not today")]
    name, pid = target.read_text().split()
    assert name == "deep"
    assert int(pid) != os.getpid()


def test_a_function_is_sealed_for_its_rule_and_its_purpose() -> None:
    sealed = seal_function(lambda stats: True, (), SEALER, Kind.PREDICATE, "r")
    answers = _ask(Predicate("another", sealed, ("stats",), SEEN), Call("r", sealed, b"\xc0"))
    assert all("SealBroken" in one.problem for one in answers)


def test_modules_are_found_where_the_program_found_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rules_of_ours.py").write_text("def deep(stats): return stats.pending > 6\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import rules_of_ours  # type: ignore[import-not-found]  # it was written just now

    sealed = seal_function(rules_of_ours.deep, (str(tmp_path),), SEALER, Kind.PREDICATE, "r")
    assert _ask(Predicate("r", sealed, ("stats",), SEEN)) == [Answer(True)]
