"""What the doctor says: each check on facts, one wrong thing at a time."""

from typing import Any

import pytest
from msgspec.structs import replace

from taskqueue_ray.core.demand import PoolStatus, Staff
from taskqueue_ray.core.exchange import Ping, QueueStats, WorkerInfo, WorkerView
from taskqueue_ray.core.health import Facts, NodeFacts, Problem, examine
from taskqueue_ray.core.lifecycle import JobState
from taskqueue_ray.core.model import NodeMode
from taskqueue_ray.core.nodes import NodeView
from taskqueue_ray.core.observation import Observation, Unserved

KEY, OTHER = "8a325e06", "00000001"


def _counts(**counts: int) -> list[QueueStats]:
    found = {state: counts.get(state.value, 0) for state in JobState}
    return [QueueStats("mail", sum(found.values()), found)]


PING = Ping(4, "1.0", 3, "/q", False, 1)
WELL = Facts(
    "/q", "1.0", 4,
    keys=(KEY,), sealed_with=(KEY,), owner="process 1", ping=PING, disk_used=0.5, disk_free=1e12,
    observation=Observation(100.0, _counts(completed=5), []),
    nodes=(NodeFacts("n", "other", 0.1, 0.01, "1.0", (KEY,)),),
)  # fmt: skip


def test_of_a_queue_that_is_well_there_is_nothing_to_say() -> None:
    health = examine(WELL)
    assert health.ok
    assert (health.problems, health.notes) == ((), ())
    assert str(health) == "nothing is wrong with /q"


def _seen(**given: Any) -> dict[str, Any]:
    found = {"at": 100.0, "queues": _counts(completed=5), "workers": [], **given}
    return {"observation": Observation(**found)}


def _worker(seen_ago: float) -> list[WorkerView]:
    return [WorkerView(WorkerInfo("worker:1:a", (), 1, "3.11", ()), 0, [], seen_ago, False)]


def _pool(**given: Any) -> PoolStatus:
    return PoolStatus("p", (), staff=[Staff("num_gpus=1", 1, **given)])


def _node(name: str, mode: NodeMode = "open", **given: Any) -> NodeView:
    """A node as the queue sees it."""
    plain: dict[str, Any] = {
        "address": "", "host": name, "port": 0, "alive": True, "since": 0.0, "draining": False,
        "weight": 1.0, "capabilities": (), "resources": {}, "available": {}, "labels": {},
        "workers": [], "running": 0, "held": 0, "memory_used": 0, "memory_total": 0,
        "seen_at": 0.0,
    }  # fmt: skip
    return NodeView(**{"id": name, "name": "", "mode": mode, **plain, **given})


GONE: dict[str, Any] = {"owner": "", "ping": None, "nodes": ()}
UNWATCHED: dict[str, Any] = {
    "ping": replace(PING, settings={"alerts": "off"}), **_seen(watched_ago=500.0)
}  # fmt: skip
NO_WORKERS = Unserved("mail", 7, "no_workers", "no worker serves the queue 'mail'")
NO_KEY = Unserved(
    "mail", 7, "no_fitting_worker", f"no worker of the queue 'mail' has the encryption key {KEY}"
)


@pytest.mark.parametrize(
    ("wrong", "what", "do"),
    [
        ({**GONE, **_seen(queues=_counts(pending=3))}, "no cluster", "taskqueue work"),
        ({**GONE, "owner": "process 1", "owner_problem": "it cannot be reached"},
         "the queue's cluster cannot be reached", "ray stop"),
        ({"ping": None, "queue_problem": "its actor does not answer"},
         "the queue does not answer", "log"),
        ({"ping": replace(PING, recovering=True)}, "the queue is recovering", "wait"),
        ({"ping": replace(PING, protocol=3)}, "versions do not fit", "same version"),
        ({"nodes": (NodeFacts("n", "other", version="0.9", keys=(KEY,)),)},
         "node other has another version", "same version"),
        (_seen(unserved=[NO_WORKERS]), "no workers for 7 jobs of mail", "taskqueue work mail"),
        (_seen(unserved=[NO_KEY]), "no workers for 7 jobs of mail", "key on the nodes"),
        (_seen(workers=_worker(20.0)), "worker worker:1:a is silent", "node"),
        ({"keys": (), "sealed_with": (OTHER,), "nodes": ()}, "the queue's key is not here",
         "TASKQUEUE_ENCRYPTION_KEYS"),
        ({"key_problem": "it is empty", "key_place": "/k"}, "the encryption key cannot be read",
         "/k"),
        ({"nodes": (NodeFacts("n", "other", version="1.0", keys=(OTHER,)),)},
         "the key is missing on node other", "key file"),
        ({"nodes": (NodeFacts("n", "other", problem="GetTimeoutError"),)},
         "node other does not answer", "dashboard"),
        ({"nodes": (NodeFacts("n", "other", -9.0, 0.1, "1.0", (KEY,)),)},
         "clock skew on node other", "NTP"),
        ({"disk_used": 0.95}, "the disk is nearly full", "retention"),
        (_seen(low_space=True), "the disk is full", "free some space"),
        (_seen(gauges={"compaction_behind": {"": 7200.0}}), "the journal is behind", "log"),
        (_seen(fold_problem="disk quota"), "compaction fails", "mend"),
        (_seen(clock_jump=-3600.0), "the queue's clock jumped", "date"),
        ({"storage_problem": "Permission denied"}, "the storage cannot be used", "permissions"),
        ({"silent_rules": (("deep", "ZeroDivisionError"),)},
         "alert rule deep cannot be judged", "alerts delete deep"),
        ({"firing": (("deep", "5 > 3"),)}, "alert deep fires", "alerts list"),
        ({"undelivered": 2}, "alerts are not delivered", "alerts history"),
        (_seen(watched_ago=180.0), "nobody watches over the queue", "alert actor"),
        ({"pools": (_pool(problem="ImportError: no", failures=3),)},
         "workers of pool p, for num_gpus=1 cannot start", "tried again"),
        ({"pools": (_pool(impossible=True),)},
         "impossible workers of pool p, for num_gpus=1", "add such a node"),
        ({"places": (_node("a", "fenced"), _node("b", alive=False))},
         "no node is open", "nodes readmit"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_to_do(wrong: Any, what: str, do: str) -> None:
    health = examine(replace(WELL, **wrong))
    assert [one.what for one in health.problems] == [what]
    assert do in health.problems[0].do
    assert not health.ok
    assert what in str(health)


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({**GONE, "exists": False, "observation": None}, "there is no queue yet"),
        (GONE, "no cluster"),
        ({"ping": replace(PING, version="0.9")}, "versions differ"),
        ({"pauses": ("queue mail",)}, "queue mail is paused"),
        (_seen(queues=_counts(failed=4)), "4 dead letters"),
        ({**UNWATCHED, "rules": 2}, "alert rules are not judged"),
        (
            {"pools": (_pool(refused="the quota of cpu is 2"),)},
            "workers of pool p, for num_gpus=1 are held back",
        ),
        ({"places": (_node("a", "cordoned"), _node("b"))}, "node a is cordoned"),
        ({"places": (_node("a", draining=True), _node("b"))}, "node a is ended by Ray"),
    ],
)
def test_what_is_worth_knowing_is_no_problem(facts: Any, what: str) -> None:
    health = examine(replace(WELL, **facts))
    assert health.ok
    assert [one.what for one in health.notes] == [what]


def test_alerts_that_nobody_wants_are_no_matter() -> None:
    assert examine(replace(WELL, **UNWATCHED)).notes == ()


def test_a_clock_is_not_blamed_for_a_slow_answer() -> None:
    slow = NodeFacts("n", "other", 3.0, 2.0, "1.0", (KEY,))
    assert examine(replace(WELL, nodes=(slow,))).ok


def test_of_what_nobody_could_find_out_nothing_is_said() -> None:
    bare = Facts("/q", "1.0", 4, ping=PING)
    assert examine(bare).ok


def test_a_problem_reads_as_a_sentence() -> None:
    assert str(Problem("a", "b", "c")) == "a: b; c"
