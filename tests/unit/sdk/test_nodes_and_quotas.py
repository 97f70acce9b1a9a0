"""Nodes, quotas, placement and fences as programs and workers see them."""

import asyncio
from typing import Any

import msgspec
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.admission import WorkersAdmitted, WorkersWanted
from taskqueue_ray.core.envelopes import decode, encode
from taskqueue_ray.core.errors import InvalidOption, NodeFenced, Recovering, UnknownSession
from taskqueue_ray.core.exchange import Outcome, OutcomeKind, WorkerInfo, WorkReply, WorkRequest
from taskqueue_ray.core.model import JobId
from taskqueue_ray.core.nodes import NodeSight
from taskqueue_ray.engine.admission import RETURN, TERM
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send

HEAD = NodeSight(
    "aaaa1111", address="10.0.0.1", host="head", port=6001,
    resources={"CPU": 4.0}, available={"CPU": 4.0},
)  # fmt: skip
BOX = NodeSight(
    "bbbb2222", address="10.0.0.2", host="box", port=6002,
    resources={"CPU": 6.0, "GPU": 2.0}, available={"CPU": 6.0, "GPU": 2.0},
)  # fmt: skip


class Worker:
    """A worker on a node, one exchange at a time."""

    def __init__(
        self, bench: Bench, name: str, node: str = "bbbb2222", cpus: float = 1, **given: Any
    ) -> None:
        self.bench = bench
        self.info = WorkerInfo(
            f"{name}:1", (), 1, "3.11", (bench.sealer.key_id,), node=node, host="box",
            actor=name, holds=(("CPU", float(cpus)),), **given,
        )  # fmt: skip
        self.sequence = 0
        self.register()

    def register(self) -> list[JobId]:
        return decode(self._ask("register", self.info), list[JobId])

    def exchange(
        self,
        want: int = 1,
        held: list[JobId] | None = None,
        outcomes: list[Outcome] | None = None,
        **given: Any,
    ) -> WorkReply:
        self.sequence += 1
        request = WorkRequest(
            self.info.id, self.sequence, self.sequence - 1, outcomes or [], held or [],
            held or [], want, memory=[5, 10], **given,
        )  # fmt: skip
        return decode(self._ask("work", request), WorkReply)

    def _ask(self, method: str, request: Any) -> bytes:
        return self.bench.host.serve(method, msgspec.msgpack.encode(request)).result(5.0)


def _observe(bench: Bench, *nodes: NodeSight) -> list[str]:
    with bench.host.lock:
        return bench.host.engine.observe(list(nodes))


def _admit(bench: Bench, *names: str, cpus: float = 1, **given: Any) -> WorkersAdmitted:
    wanted = WorkersWanted(
        "starter", given.pop("queues", ()), list(names), {"CPU": cpus}, {"CPU": 0.001}, **given
    )
    request = msgspec.msgpack.encode(wanted)
    return decode(bench.host.serve("admit_workers", request).result(5.0), WorkersAdmitted)


@pytest.fixture
def nodes(bench: Bench) -> Bench:
    """The bench with two nodes."""
    _observe(bench, HEAD, BOX)
    bench.advance(RETURN + 1)
    return bench


def test_nodes_are_seen_with_what_happens_on_them(nodes: Bench) -> None:
    worker = Worker(nodes, "w")
    _ = send.enqueue("a")
    (grant,) = worker.exchange().grants
    worker.exchange(0, [grant.id])
    box = nodes.q.nodes.get("box")
    assert (box.id, box.state, box.resources["GPU"], box.workers) == (
        "bbbb2222", "alive", 2.0, ("w:1",),
    )  # fmt: skip
    assert (box.running, box.held, box.memory_used, box.memory_total) == (1, 1, 5, 10)
    assert box.last_seen is not None
    assert [one.id for one in nodes.q.nodes.list()] == ["aaaa1111", "bbbb2222"]
    assert "10.0.0.2:6002" in repr(nodes.q.nodes.list())
    for unknown in ("nowhere", "10.0.0.9"):
        with pytest.raises(tq.UnknownNode):
            nodes.q.nodes.get(unknown)


def test_a_registration_names_a_node_that_is_there_or_will_be(nodes: Bench) -> None:
    q = nodes.q
    q.nodes.register("gpu-box", address="10.0.0.2", port=6002, capabilities=["ssd"], weight=3)
    q.nodes.register("later", address="10.0.0.7")
    nodes.restart()
    _observe(nodes, HEAD, BOX)
    box = q.nodes.get("gpu-box")
    assert (box.id, box.name, box.capabilities, box.weight) == (
        "bbbb2222", "gpu-box", ("ssd",), 3.0,
    )  # fmt: skip
    absent = q.nodes.list()[-1]
    assert (absent.id, absent.name, absent.address, absent.state) == (
        "", "later", "10.0.0.7", "absent",
    )  # fmt: skip
    assert q.nodes.unregister("later")
    assert not q.nodes.unregister("later")
    assert len(q.nodes.list()) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": -1}, {"weight": "x"}, {"port": -2}, {"port": 1.5}, {"capabilities": "gpu"},
        {"capabilities": [1]}, {"address": "a\nb"}, {"address": None},
    ],
)  # fmt: skip
def test_what_cannot_be_registered(nodes: Bench, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        nodes.q.nodes.register("box", **wrong)
    assert len(nodes.q.nodes.list()) == 2


def test_a_cordoned_node_gets_no_jobs_and_what_runs_goes_on(nodes: Bench) -> None:
    worker = Worker(nodes, "w")
    first, second = send.enqueue("a"), send.enqueue("b")
    (grant,) = worker.exchange().grants
    assert nodes.q.nodes.cordon("bbbb").state == "cordoned"
    assert worker.exchange(5, [grant.id]).grants == []
    assert (first.status(), second.status()) == ("processing", "pending")
    assert nodes.q.worker_health()[0].barred
    nodes.restart()
    worker.register()
    assert worker.exchange(5, [grant.id]).grants == []
    nodes.q.nodes.readmit("bbbb2222")
    assert len(worker.exchange(5, [grant.id]).grants) == 1
    other = Worker(nodes, "w2", "aaaa1111")
    assert not other.exchange(0).drain


def test_a_drained_node_s_workers_are_told_to_leave(nodes: Bench) -> None:
    worker = Worker(nodes, "w")
    nodes.q.nodes.drain("box", within="90s")
    reply = worker.exchange()
    assert (reply.drain, reply.drain_seconds) == (True, 90.0)
    late = Worker(nodes, "w2")
    assert late.exchange().drain
    assert not Worker(nodes, "w3", "aaaa1111").exchange().drain
    with pytest.raises(InvalidOption):
        nodes.q.nodes.drain("box", within="soon")


def test_ray_s_notice_is_a_drain_that_ends_before_the_node_does(nodes: Bench) -> None:
    worker, other = Worker(nodes, "w"), Worker(nodes, "w2", "aaaa1111")
    end = nodes.host.clock.now() + 30
    assert _observe(nodes, HEAD, msgspec.structs.replace(BOX, draining=True, drain_by=end))
    reply = worker.exchange()
    assert reply.drain
    assert 20 < reply.drain_seconds < 30
    assert not other.exchange().drain
    assert nodes.q.nodes.get("box").state == "draining"
    assert _admit(nodes, "n1").spots[0].node == "aaaa1111"


def test_a_drain_can_be_made_quicker_and_not_slower(nodes: Bench) -> None:
    """A worker of a pool may have days to finish; its node's end does not wait for that."""
    worker = Worker(nodes, "w")
    assert decode(nodes.transport.call("drain", encode(worker.info.id)), bool)
    assert worker.exchange().drain_seconds == 0.0, "as long as it was told at its start"
    nodes.q.nodes.drain("box", within="90s")
    assert worker.exchange().drain_seconds == 90.0
    nodes.advance(1.0)
    nodes.q.nodes.drain("box", within="10m")
    assert not worker.exchange().drain, "it was told already to be quicker"
    end = nodes.host.clock.now() + 20
    ending = msgspec.structs.replace(BOX, draining=True, drain_by=end)
    assert _observe(nodes, HEAD, ending)
    assert 10 < worker.exchange().drain_seconds < 20
    nodes.advance(1.0)
    assert not _observe(nodes, HEAD, ending), "said once"


def test_a_drain_without_a_time_ends_all_the_same(nodes: Bench) -> None:
    worker = Worker(nodes, "w")
    nodes.q.nodes.drain("box")
    assert worker.exchange().drain_seconds == 30.0


def test_a_dead_node_s_jobs_are_ready_at_once_and_no_attempt_is_counted(nodes: Bench) -> None:
    worker = Worker(nodes, "w")
    handle = send.enqueue("a")
    (grant,) = worker.exchange().grants
    worker.exchange(0, [grant.id])
    (said,) = _observe(nodes, HEAD, msgspec.structs.replace(BOX, alive=False))
    assert "has died" in said
    job = handle.info()
    assert (job.state, job.attempts, job.losses) == ("pending", 0, 1)
    assert nodes.q.nodes.get("bbbb2222").state == "dead"
    assert [one.id for one in nodes.q.nodes.list()] == ["aaaa1111", "bbbb2222"]
    nodes.advance(7200)
    _observe(nodes, HEAD, msgspec.structs.replace(BOX, alive=False))
    assert [one.id for one in nodes.q.nodes.list()] == ["aaaa1111"]


def test_a_fenced_node_has_nothing_and_says_nothing(nodes: Bench) -> None:
    worker = Worker(nodes, "w")
    handle = send.enqueue("a")
    (grant,) = worker.exchange().grants
    worker.exchange(0, [grant.id])
    fenced = nodes.q.fault_tolerance.handle_network_partition("10.0.0.2", True)
    assert fenced.state == "fenced"
    job = handle.info()
    assert (job.state, job.attempts, job.losses) == ("pending", 0, 0)
    done = Outcome(grant.id, grant.delivery, grant.lease, OutcomeKind.COMPLETED)
    with pytest.raises(UnknownSession):
        worker.exchange(0, [], [done])
    nodes.restart()
    with pytest.raises(NodeFenced, match="readmit"):
        worker.register()
    elsewhere = Worker(nodes, "w2", "aaaa1111")
    (again,) = elsewhere.exchange().grants
    assert again.attempt == 1
    # Its late outcome counts for nothing when it is back.
    nodes.q.fault_tolerance.handle_network_partition("bbbb2222", False)
    assert worker.register() == []
    worker.sequence = 0
    assert worker.exchange(0, [], [done]).stale == [grant.id]
    assert handle.status() == "processing"
    with pytest.raises(InvalidOption):
        nodes.q.fault_tolerance.handle_network_partition("box", 1)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(tq.UnknownNode):
        nodes.q.fault_tolerance.handle_network_partition("nowhere", True)


def test_a_node_is_selected_by_what_it_has(nodes: Bench) -> None:
    q = nodes.q
    q.nodes.register("box", capabilities=["ssd"])
    balancer = q.load_balancer
    assert balancer.select_node(["gpu", "ssd"]).id == "bbbb2222"
    balancer.strategy = "round_robin"
    assert {balancer.select_node(["cpu"]).id for _ in range(2)} == {"aaaa1111", "bbbb2222"}
    with pytest.raises(tq.UnknownCapability, match="tape"):
        balancer.select_node(["gpu", "tape"])
    q.nodes.cordon("box")
    with pytest.raises(tq.UnknownCapability, match="no open node"):
        balancer.select_node(["gpu"])
    with pytest.raises(InvalidOption):
        balancer.select_node("gpu")


def test_the_strategy_places_workers_and_is_kept(nodes: Bench) -> None:
    balancer = nodes.q.load_balancer
    assert balancer.strategy == "least_connections"
    nodes.q.nodes.register("aaaa1111", weight=3)
    balancer.strategy = "weighted"
    spots = _admit(nodes, *map(str, range(8))).spots
    assert [spot.node for spot in spots].count("aaaa1111") == 6
    nodes.restart()
    assert balancer.strategy == "weighted"
    with pytest.raises(InvalidOption, match="round_robin"):
        balancer.strategy = "fastest"
    balancer.set_strategy("spread")
    _observe(nodes, HEAD, BOX)
    nodes.q.nodes.cordon("box")
    (spot,) = _admit(nodes, "x").spots
    assert (spot.node, spot.spread, spot.closed) == ("", True, ("bbbb2222",))
    nodes.q.nodes.cordon("head")
    assert _admit(nodes, "y").is_closed


def test_quotas_hold_while_workers_start(nodes: Bench) -> None:
    q = nodes.q
    q.quotas.set("cpu", "50%")  # of 10
    up = Worker(nodes, "up", cpus=2)
    assert len(_admit(nodes, "a", "b", cpus=2).spots) == 1  # 2 + 2 of 5
    answer = _admit(nodes, "b", cpus=2)
    assert answer.spots == []
    assert answer.refusal is not None
    assert len(_admit(nodes, "a", cpus=2).spots) == 1  # itself again
    a = Worker(nodes, "a", cpus=2)  # it came up and counts once
    assert len(_admit(nodes, "c", cpus=1).spots) == 1
    (quota,) = q.quotas.list()
    assert (quota.resource, quota.percent, quota.ceiling, quota.held) == ("cpu", True, 5.0, 5.0)

    def pass_time(seconds: float) -> None:
        for _ in range(int(seconds / 10)):
            nodes.advance(10)
            up.exchange(0)
            a.exchange(0)

    pass_time(TERM - 10)
    _admit(nodes, cpus=1, starting=["c"])
    pass_time(TERM - 10)
    assert _admit(nodes, "d", cpus=1).refusal is not None
    pass_time(10)
    assert _admit(nodes, "d", cpus=1).refusal is None
    with nodes.host.lock:
        nodes.host.engine.admission.give_up(["d"])
    assert _admit(nodes, "e", cpus=1).refusal is None


def test_what_vanished_may_come_again_and_what_left_does_not(nodes: Bench) -> None:
    nodes.q.quotas.set("cpu", 1)
    first = Worker(nodes, "first")
    with nodes.host.lock:
        nodes.host.engine.lose(first.info.id)
    assert _admit(nodes, "x").refusal is not None
    Worker(nodes, "first")
    with nodes.host.lock:
        nodes.host.engine.lose(first.info.id, for_good=True)
    assert _admit(nodes, "x").refusal is None


def test_nobody_is_let_in_before_those_who_ran_on_are_counted(nodes: Bench) -> None:
    nodes.q.quotas.set("cpu", "10%")
    nodes.restart()
    with pytest.raises(Recovering, match="counted"):
        _admit(nodes, "x")
    nodes.advance(RETURN)
    with pytest.raises(Recovering, match="not known"):
        _admit(nodes, "x")
    _observe(nodes, HEAD, BOX)
    assert len(_admit(nodes, "x").spots) == 1


def test_why_says_that_a_quota_holds_a_job(nodes: Bench) -> None:
    nodes.q.quotas.set("cpu", 1, queue="mail")
    Worker(nodes, "w")
    held, free = send.enqueue("a"), send.options(queue="other").enqueue("b")
    _admit(nodes, "x", queues=("mail",))
    why = nodes.q.why(held)
    assert (why.reason, why.facts["resource"], why.facts["queue"], why.facts["quota"]) == (
        "quota", "cpu", "mail", 1.0,
    )  # fmt: skip
    assert "the quota of cpu of the queue 'mail' is 1: 1 are held" in why.sentence
    assert nodes.q.why(free).reason == "turn"
    nodes.q.quotas.delete("cpu", queue="mail")
    assert len(_admit(nodes, "x", queues=("mail",)).spots) == 1
    assert nodes.q.why(held).reason == "turn"


def test_jobs_in_ray_take_of_quotas_what_they_ask_for(nodes: Bench) -> None:
    on_gpu = send.options(executor="actor", num_gpus=1)
    jobs = [on_gpu.enqueue(str(n)) for n in range(3)]
    other = on_gpu.options(queue="other").enqueue("x")
    small = send.options(executor="actor", num_gpus=0.5).enqueue("y")
    nodes.q.quotas.set("gpu", "75%", queue="mail")  # 1.5 of 2
    worker = Worker(nodes, "w", executors=("process", "actor"))
    grants = worker.exchange(0, rooms={"actor": 9}).grants
    assert {grant.id.hex() for grant in grants} == {jobs[0].id, other.id, small.id}
    why = nodes.q.why(jobs[1])
    assert (why.reason, why.facts["held"], why.facts["worker"]) == ("quota", 1.5, 1.0)
    held = [grant.id for grant in grants]
    first = next(grant for grant in grants if grant.id.hex() == jobs[0].id)
    done = Outcome(first.id, first.delivery, first.lease, OutcomeKind.COMPLETED)
    held.remove(first.id)
    (grant,) = worker.exchange(0, held, [done], rooms={"actor": 9}).grants
    assert grant.id.hex() == jobs[1].id
    nodes.q.quotas.delete("gpu", queue="mail")
    (grant,) = worker.exchange(0, [*held, grant.id], rooms={"actor": 9}).grants
    assert grant.id.hex() == jobs[2].id


def test_jobs_in_ray_under_limits_are_started_within_quotas(nodes: Bench) -> None:
    on_gpu = send.options(executor="actor", num_gpus=0.5, limits=["models"], queue="limited")
    jobs = [on_gpu.enqueue(str(n)) for n in range(4)]
    nodes.q.concurrency.set_limit("models", 2)
    nodes.q.quotas.set("gpu", 1.5)
    worker = Worker(nodes, "w", executors=("process", "actor"))
    grants = worker.exchange(0, rooms={"actor": 9}).grants
    assert [grant.id.hex() for grant in grants] == [job.id for job in jobs[:2]]
    assert nodes.q.why(jobs[2]).facts["limit"] == "models"
    nodes.q.concurrency.set_limit("models", 4)
    held = [grant.id for grant in grants]
    (third,) = worker.exchange(0, held, rooms={"actor": 9}).grants
    assert third.id.hex() == jobs[2].id
    assert nodes.q.why(jobs[3]).reason == "quota"


def test_why_says_that_no_node_is_open(nodes: Bench) -> None:
    handle = send.enqueue("a")
    for node in ("head", "box"):
        nodes.q.nodes.cordon(node)
    assert nodes.q.why(handle).reason == "nodes"
    nodes.q.nodes.readmit("head")
    assert nodes.q.why(handle).reason == "no_workers"


def test_quotas_are_kept_replaced_and_deleted(nodes: Bench) -> None:
    quotas = nodes.q.quotas
    quotas.set("memory", "1GB")
    quotas.set("memory", "2GB")
    quotas.set("gpu", 0, queue="mail")
    nodes.restart()
    shown = {(one.resource, one.queue): one.amount for one in quotas.list()}
    assert shown == {("memory", None): 2e9, ("gpu", "mail"): 0.0}
    assert "2,000 MB" in repr(quotas.list())
    assert quotas.delete("GPU", queue="mail")
    assert not quotas.delete("gpu", queue="mail")
    for wrong in (("cpu", -1), ("cpu", "0%"), ("memory", "lots"), (None, 1)):
        with pytest.raises(InvalidOption):
            quotas.set(*wrong)
    with pytest.raises(InvalidOption):
        quotas.set("cpu", 1, queue="No Queue")
    with pytest.raises(tq.QuotaBelowWorker):
        quotas.set("cpu", 0.5)
    assert len(quotas.list()) == 1


def test_a_repeat_gives_the_first_result(bench: Bench) -> None:
    once = bench.q.fault_tolerance.ensure_idempotency
    first = once(send, "a", key="order-7")
    bench.work()
    again = once(send, "other arguments", key="order-7")
    assert again.result(timeout=5) == first.result(timeout=5) == "a: "
    assert bench.work() == 0
    by_arguments = once(send.item("b"))
    assert once(send, "b").id != once(send, "c").id
    bench.work()
    assert once(send, "b").result(timeout=5) == by_arguments.result(timeout=5)
    bench.advance(86_401)
    assert once(send, "a", key="order-7").id != first.id
    with pytest.raises(InvalidOption):
        _ = once(send, "a", within=0)
    with pytest.raises(tq.InvalidRequest):
        _ = once(3)


def test_the_twins_do_the_same(nodes: Bench) -> None:
    async def all_of_them() -> None:
        q = nodes.q
        await q.nodes.aregister("box", capabilities=["ssd"])
        assert (await q.load_balancer.aselect_node(["ssd"])).name == "box"
        assert await q.load_balancer.aset_strategy("pack") == "pack"
        assert (await q.nodes.acordon("box")).state == "cordoned"
        assert (await q.nodes.adrain("box", within=5)).state == "draining"
        assert (await q.nodes.areadmit("box")).state == "alive"
        assert (await q.nodes.aget("box")).id == "bbbb2222"
        assert len(await q.nodes.alist()) == 2
        assert await q.nodes.aunregister("box")
        assert (await q.quotas.aset("gpu", 2)).amount == 2
        assert len(await q.quotas.alist()) == 1
        assert await q.quotas.adelete("gpu")
        fault = q.fault_tolerance
        assert (await fault.ahandle_network_partition("box")).state == "fenced"
        first = await fault.aensure_idempotency(send, "a", key="k")
        second = await fault.aensure_idempotency(send, "b", key="k")
        assert second.id == first.id
        assert first.status() == "pending"

    asyncio.run(all_of_them())
