"""Quotas: what is one, and that admission never exceeds them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue_ray.core import commands
from taskqueue_ray.core.errors import InvalidOption, QuotaBelowWorker
from taskqueue_ray.core.model import Quota
from taskqueue_ray.core.quotas import (
    Holding,
    admit,
    ceiling_of,
    job_holds,
    parse_quota,
    worker_holds,
)
from taskqueue_ray.core.shape import Shape
from tests.ledger import Ledger
from tests.records import options

GB = 10**9


@pytest.mark.parametrize(
    ("resource", "value", "quota"),
    [
        ("memory", "1GB", Quota("memory", GB)),
        ("cpu", "80%", Quota("CPU", 80, True)),
        ("CPU", 4, Quota("CPU", 4)),
        ("cpu", "2.5", Quota("CPU", 2.5)),
        ("gpu", 0.5, Quota("GPU", 0.5)),
        ("GPU", 0, Quota("GPU", 0)),
        ("license", 3, Quota("license", 3)),
        ("memory", "33.3%", Quota("memory", 33.3, True)),
    ],
)
def test_what_is_a_quota(resource: str, value: Any, quota: Quota) -> None:
    assert parse_quota(resource, value) == quota


@pytest.mark.parametrize(
    ("resource", "value"),
    [
        ("cpu", -1), ("cpu", "-1"), ("cpu", "-5%"), ("cpu", "0%"), ("cpu", "101%"),
        ("cpu", "many"), ("cpu", None), ("cpu", True), ("cpu", "nan"), ("cpu", "inf%"),
        ("memory", "1XB"), ("memory", -1), ("memory", True), ("", 1), (3, 1), ("a\n", 1),
        ("gpu", float("inf")), ("gpu", [1]),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(resource: Any, value: Any) -> None:
    with pytest.raises(InvalidOption):
        parse_quota(resource, value)


@pytest.mark.parametrize(("resource", "value"), [("cpu", 0.5), ("cpu", 0), ("memory", "1MB")])
def test_a_quota_below_one_worker(resource: str, value: Any) -> None:
    with pytest.raises(QuotaBelowWorker, match="below one worker"):
        parse_quota(resource, value)


def test_what_a_worker_counts_as() -> None:
    assert worker_holds(4)["CPU"] == 4
    shape = Shape(num_cpus=2, num_gpus=0.5, memory=GB, resources=(("license", 1.0),))
    holds = worker_holds(2, shape)
    assert (holds["CPU"], holds["GPU"], holds["license"]) == (4, 1, 2)
    assert holds["memory"] > 2 * GB
    assert "GPU" not in worker_holds(1)
    assert worker_holds(3, memory_limit=GB)["memory"] > 3 * GB


def test_a_share_follows_the_cluster() -> None:
    quota = Quota("CPU", 80, True)
    assert ceiling_of(quota, {"CPU": 10}) == 8
    assert ceiling_of(quota, {}) == 0
    # 3 * 0.7 is below 2.1 in floats: exact in Ray's units it is not.
    assert admit([Quota("CPU", 70, True)], [], Holding((), {"CPU": 2.1}), {"CPU": 3}) is None


def test_tenths_add_up() -> None:
    held = [Holding((), {"GPU": 0.1})] * 9
    wanted = Holding((), {"GPU": 0.1})
    assert admit([Quota("GPU", 1)], held, wanted, {}) is None
    refusal = admit([Quota("GPU", 1)], [*held, wanted], wanted, {})
    assert refusal is not None
    assert not refusal.is_final
    assert "the quota of gpu is 1: 1 are held, and one more takes 0.1" in refusal.words


def test_a_quota_of_a_queue_counts_who_serves_it() -> None:
    quotas = [Quota("CPU", 4, queue="mail")]
    held = [
        Holding(("mail",), {"CPU": 2}),
        Holding(("other",), {"CPU": 9}),
        Holding((), {"CPU": 2}),
    ]
    assert admit(quotas, held[:2], Holding(("mail", "x"), {"CPU": 2}), {}) is None
    refusal = admit(quotas, held, Holding(("mail",), {"CPU": 1}), {})
    assert refusal is not None
    assert "queue 'mail'" in refusal.words
    assert admit(quotas, held, Holding(("other",), {"CPU": 1}), {}) is None
    assert admit(quotas, held, Holding((), {"CPU": 1}), {}) is not None


def test_too_large_even_alone() -> None:
    refusal = admit([Quota("CPU", 4)], [], Holding((), {"CPU": 5}), {})
    assert refusal is not None
    assert refusal.is_final


amounts = st.floats(0, 50, allow_nan=False).map(lambda x: round(x, 4))
queues = st.sampled_from([(), ("a",), ("b",), ("a", "b")])
quota = st.builds(
    Quota, st.sampled_from(["CPU", "GPU"]), amounts, st.booleans(), st.sampled_from(["", "a"])
)
worker = st.builds(
    lambda names, cpu, gpu: Holding(names, {"CPU": cpu, "GPU": gpu}), queues, amounts, amounts
)


@given(
    st.lists(quota, max_size=4),
    st.lists(st.tuples(worker, st.booleans()), max_size=30),
    st.fixed_dictionaries({"CPU": amounts, "GPU": amounts}),
)
def test_admission_never_exceeds_a_quota(
    quotas: list[Quota], asks: list[tuple[Holding, bool]], cluster: dict[str, float]
) -> None:
    """Workers ask and leave in any order; whatever is held fits every quota, and no room is left
    unused that a refused one would have had.
    """
    held: list[Holding] = []

    def used(one: Quota, more: list[Holding]) -> float:
        serving = [w for w in more if not one.queue or not w.queues or one.queue in w.queues]
        return sum(round(w.amounts[one.resource] * 10_000) for w in serving)

    for wanted, leaves in asks:
        if leaves and held:
            held.pop(0)
        refusal = admit(quotas, held, wanted, cluster)
        if refusal is None:
            held.append(wanted)
        else:
            one = refusal.quota
            assert used(one, [*held, wanted]) > round(ceiling_of(one, cluster) * 10_000)
        for one in quotas:
            concerned = any(w.amounts[one.resource] for w in held)
            if concerned:
                assert used(one, held) <= round(ceiling_of(one, cluster) * 10_000)


def test_they_are_facts() -> None:
    ledger = Ledger()
    quota = Quota("CPU", 80, True, "mail")
    assert ledger.do(commands.SetQuota(quota)) == quota
    ledger.do(commands.SetQuota(Quota("GPU", 1)))
    before = len(ledger.commits)
    ledger.do(commands.SetQuota(quota))
    assert len(ledger.commits) == before
    assert ledger.do(commands.DeleteQuota("", "GPU")) is True
    assert ledger.do(commands.DeleteQuota("", "GPU")) is False
    assert list(ledger.replayed().premises.quotas.values()) == [quota]
    with pytest.raises(InvalidOption):
        ledger.do(commands.SetQuota(Quota("CPU", -1)))


def test_a_job_of_a_worker_with_its_shape_is_not_counted_twice() -> None:
    shape = Shape(num_cpus=2.0)
    assert job_holds(options(executor="process", shape=shape)) == {}
    assert job_holds(options(executor="task", shape=shape)) == {"CPU": 2.0}
