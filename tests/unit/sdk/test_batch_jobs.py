"""Vectorized jobs, as programs define and enqueue them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypedDict

import cloudpickle
import msgspec
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.model import Options
from tests.inprocess import Bench
from tests.unit.sdk.batch_jobs import Classify, Plain, Prompt, anything, embed, generate, pairs


def _options(bench: Bench, handle: tq.JobHandle[Any]) -> Options:
    return bench.host.engine.state.jobs[handle.raw_id].options


def test_a_job_has_one_item_and_the_result_of_it(bench: Bench) -> None:
    handle = bench.q.enqueue(embed, "hello")
    assert handle.info().arguments == {"texts": "hello"}
    assert _options(bench, handle).batch == 8
    assert _options(bench, handle).executor == "process"
    bench.work()
    assert handle.result(timeout=30) == [5.0]
    assert embed(["a", "bc"]) == [[1.0], [2.0]], "it can still be called"


def test_items_and_results_have_their_declared_types(bench: Bench) -> None:
    said = generate.enqueue(Prompt("small", "hi"))
    made = pairs.enqueue((3, "x"))
    loose = anything.enqueue({"a": (1, 2)})
    many = bench.q.enqueue_many(embed.item(text) for text in ("a", "bc"))
    bench.work()
    assert said.result(timeout=30) == "HI"
    assert made.result(timeout=30) == Prompt("x", "x", 3)
    assert loose.result(timeout=30) == {"a": (1, 2)}
    assert [handle.result(timeout=30) for handle in many] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("job", "args", "kwargs"),
    [
        (embed, (7,), {}),
        (embed, (["hello"],), {}),
        (embed, ("a", "b"), {}),
        (embed, (), {}),
        (embed, (), {"text": "a"}),
        (generate, ("hello",), {}),
        (pairs, ((1, 2),), {}),
    ],
)
def test_an_item_of_another_type_is_refused(
    bench: Bench, job: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(tq.InvalidArguments):
        _ = bench.q.enqueue(job, *args, **kwargs)
    assert bench.q.stats().total == 0


def test_an_exception_in_the_list_fails_its_job(bench: Bench) -> None:
    failed = generate.options(max_attempts=1).enqueue(Prompt("small", ""))
    bench.work()
    with pytest.raises(tq.JobFailed, match="empty"):
        failed.result(timeout=30)


def test_an_item_may_be_the_result_of_another_job(bench: Bench) -> None:
    first = generate.enqueue(Prompt("small", "hi"))
    second = embed.enqueue(first)  # type: ignore[arg-type]  # a handle stands for what it returns
    bench.work()
    assert second.result(timeout=30) == [2.0]


def test_unique_compares_items(bench: Bench) -> None:
    unique = embed.options(unique=True)
    assert unique.enqueue("a") == unique.enqueue("a")
    assert unique.enqueue("a") != unique.enqueue("b")


def test_a_class_handles_payloads_and_keeps_what_it_writes_there(bench: Bench) -> None:
    handle = bench.q.push(Classify({"path": "cat.png"}))
    assert _options(bench, handle).batch == 4
    bench.work()
    assert handle.result(timeout=30) == "cat"
    assert handle.info().payload == {"path": "cat.png", "seen": True}


def test_a_class_without_a_batch_of_its_own_has_the_usual_one() -> None:
    class Each(tq.Job):
        def handle_batch(self, payloads: list[dict[str, Any]]) -> list[int]:
            return [1] * len(payloads)

    assert Each().item().job_type.batch == tq.Batch()


def test_setup_is_there_for_each_job_under_its_own_id(bench: Bench) -> None:
    jobs = [Plain({"word": word}) for word in ("a", "b")]
    handles = [bench.q.push(job) for job in jobs]
    bench.work()
    for job, handle in zip(jobs, handles, strict=True):
        assert handle.result(timeout=30) == f"warm {job.payload['word']} {job.id}"


def test_jobs_of_no_module_travel_with_their_batch_and_setup(bench: Bench) -> None:
    @tq.job(batch=tq.Batch(max_size=3))
    def local(words: list[str]) -> list[str]:
        return [word + "!" for word in words]

    class Local(tq.Job):
        batch = tq.Batch(max_size=5)

        def setup(self) -> None:
            self.mark = "?"

        def handle_batch(self, payloads: list[dict[str, Any]]) -> list[str]:
            return [payload["word"] + self.mark for payload in payloads]

    again = cloudpickle.loads(cloudpickle.dumps(local))
    assert again.job_type.batch == tq.Batch(max_size=3)
    function, made = local.enqueue("hi"), bench.q.push(Local({"word": "hi"}))
    assert [_options(bench, handle).batch for handle in (function, made)] == [3, 5]
    bench.work()
    assert function.result(timeout=30) == "hi!"
    assert made.result(timeout=30) == "hi?"


def test_a_batch_belongs_to_the_handler(bench: Bench) -> None:
    for give in (
        lambda: embed.options(batch=tq.Batch()),  # type: ignore[call-arg]
        lambda: Classify({}, batch=tq.Batch()),
    ):
        with pytest.raises(tq.InvalidOption, match="it belongs to the handler"):
            give()
    with pytest.raises(tq.InvalidOption, match=r"executor.*batch"):
        _ = embed.options(executor="async").enqueue("a")
    with pytest.raises(tq.InvalidOption, match=r"executor.*batch"):
        _ = bench.q.push(Classify({"path": ""}, executor="async"))
    assert bench.q.stats().total == 0


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"max_size": 0}, "max_size.*from 1 to 10000"),
        ({"max_size": 10_001}, "max_size"),
        ({"max_size": True}, "max_size"),
        ({"max_size": 2.0}, "max_size"),
        ({"max_size": "many"}, "max_size"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": "soon"}, "max_wait"),
        ({"max_wait": None}, "max_wait"),
        ({"max_wait": "11s"}, "max_wait.*at most 10 seconds"),
        ({"key": ""}, "key"),
        ({"key": 7}, "key"),
        ({"key": "k" * 201}, "key"),
    ],
)
def test_the_parts_of_a_batch_are_checked(given: dict[str, Any], match: str) -> None:
    with pytest.raises(tq.InvalidOption, match=match):
        tq.Batch(**given)


def test_a_batch_says_what_it_is() -> None:
    assert tq.Batch(max_wait="2s") == tq.Batch(64, 2)
    assert tq.Batch(max_wait=0).seconds == 0.0
    with pytest.raises(AttributeError):
        tq.Batch().max_size = 3  # type: ignore[misc]  # it is frozen


class Row(NamedTuple):
    model: str


class Entry(TypedDict):
    model: str


class Record(msgspec.Struct):
    model: str


def _of(item: Any) -> Callable[..., Any]:
    def handler(items: Any) -> Any: ...

    handler.__annotations__ = {"items": list[item], "return": list[None]}
    return handler


def _two(items: list[str], others: list[str]) -> list[str]: ...  # type: ignore[empty-body]
def _none() -> list[str]: ...  # type: ignore[empty-body]
def _named(*, items: list[str]) -> list[str]: ...  # type: ignore[empty-body]
def _text(items: str) -> list[str]: ...  # type: ignore[empty-body]
def _mapping(items: dict[str, int]) -> list[str]: ...  # type: ignore[empty-body]
def _returns_one(items: list[str]) -> str: ...  # type: ignore[empty-body]
async def _async(items: list[str]) -> list[str]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (_two, r"the parameters \(items, others\)"),
        (_none, "the parameters"),
        (_named, "the parameters"),
        (_text, "its parameter as str.*a function of one list"),
        (_mapping, "its parameter as dict"),
        (_returns_one, "its return value as str"),
        (_async, "async def"),
    ],
)
def test_a_function_of_another_form_is_refused(function: Callable[..., Any], match: str) -> None:
    with pytest.raises(tq.InvalidOption, match=match):
        tq.job(batch=tq.Batch(), type=f"refused.{function.__name__}")(function)


@pytest.mark.parametrize("batch", [64, "all", {"max_size": 3}, True])
def test_what_is_no_batch_is_refused(batch: Any) -> None:
    with pytest.raises(tq.InvalidOption, match=r"tq\.Batch\("):
        tq.job(batch=batch)
    with pytest.raises(tq.InvalidOption, match=r"tq\.Batch\("):
        type("Wrong", (tq.Job,), {"batch": batch, "handle_batch": lambda _self, _all: []})


def test_a_class_with_a_batch_needs_the_method() -> None:
    with pytest.raises(tq.InvalidRequest, match="no method `handle_batch"):
        type("Half", (tq.Job,), {"batch": tq.Batch(), "handle": lambda _self: None})


def test_an_executor_that_runs_one_at_a_time_is_needed() -> None:
    with pytest.raises(tq.InvalidOption, match="executor"):
        tq.job(batch=tq.Batch(), executor="async", type="refused.async")(_of(str))

    async def handle_batch(_self: Any, payloads: list[Any]) -> list[Any]:
        return payloads

    with pytest.raises(tq.InvalidOption, match="async def"):
        type("Async", (tq.Job,), {"handle_batch": handle_batch})


@pytest.mark.parametrize("item", [Row, Entry, Record, Prompt])
def test_a_key_is_of_the_item(item: Any) -> None:
    name = f"keyed.{item.__name__}"
    tq.job(batch=tq.Batch(key="model"), type=name)(_of(item))
    with pytest.raises(tq.InvalidOption, match=r"batch key.*'modle'.*one of.*model"):
        tq.job(batch=tq.Batch(key="modle"), type=f"{name}.wrong")(_of(item))


def test_a_plain_item_has_no_key() -> None:
    with pytest.raises(tq.InvalidOption, match="such an item has no attributes"):
        tq.job(batch=tq.Batch(key="model"), type="keyed.str")(_of(str))


@pytest.mark.parametrize("kind", [Sequence[int], Iterable[int], list[int]])
def test_a_list_may_be_declared_by_what_it_can_do(kind: Any, bench: Bench) -> None:
    def doubled(numbers: Any) -> Any:
        return [2 * number for number in numbers]

    doubled.__annotations__ = {"numbers": kind, "return": kind}
    job: Any = tq.job(batch=tq.Batch(), type=f"doubled.{kind}".replace("[", ".").strip("]"))(
        doubled
    )
    handle = bench.q.enqueue(job, 4)
    bench.work()
    assert handle.result(timeout=30) == 8
    with pytest.raises(tq.InvalidArguments):
        _ = bench.q.enqueue(job, "four")
