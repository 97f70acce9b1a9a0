"""What `tq.use` and `middleware=[...]` put around enqueueing and running."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import cloudpickle
import msgspec
import pytest

import taskqueue_ray as tq
from taskqueue_ray.core.model import StoredCode
from taskqueue_ray.engine import code
from taskqueue_ray.engine.context import Context
from taskqueue_ray.engine.middleware import Enqueueing, Middleware, importing, installed
from taskqueue_ray.engine.registry import registry
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import Resize, fetch, send

Install = Callable[..., Middleware]
tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


@pytest.fixture
def install() -> Iterator[Install]:
    """Installs as the import of the module `app` would; `module` may say otherwise."""
    made: list[Middleware] = []

    def add(one: Middleware, module: str = "app") -> Middleware:
        registry.use(one, module)
        made.append(one)
        return one

    yield add
    for one in made:
        installed.remove(one)
    assert installed.all == ()


@tq.job
def whose() -> str:
    return tenant.get()


@tq.job
async def awhose() -> str:
    await asyncio.sleep(0)
    return tenant.get()


clients: list[tq.TaskQueue] = []


@tq.job
def onward() -> str:
    return clients.pop().enqueue(send, "next").id


class Noting(Middleware):
    """Notes what passes, in the form that both kinds of job need."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    def on_enqueue(self, item: Enqueueing) -> None:
        self.notes.append(f"{self.name} sees {item.type.rpartition('.')[2]}")

    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        self.notes.append(f"{self.name} in")
        try:
            return call_next()
        finally:
            self.notes.append(f"{self.name} out")

    async def arun(self, context: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        self.notes.append(f"{self.name} in")
        try:
            return await call_next()
        finally:
            self.notes.append(f"{self.name} out")


class Second(Noting):
    """One of another class, since one of the same class replaces the first."""


class Labelling(Middleware):
    def on_enqueue(self, item: Enqueueing) -> None:
        item.change(tags=[*item.options.tags, "seen"], priority=77, fair_key="acme")


class Forbidding(Middleware):
    """Refuses what goes to somebody."""

    def on_enqueue(self, item: Enqueueing) -> None:
        if "eve" in item.args or item.kwargs.get("to") == "eve":
            raise PermissionError("not to eve")


class Tracing(Middleware):
    """Sends a word along: that of the job that enqueues, or a new one."""

    def on_enqueue(self, item: Enqueueing) -> None:
        within = item.within
        item.headers["trace"] = within.headers["trace"] + ">" if within else "4bf92f35"


class Exclaiming(Middleware):
    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        return f"{call_next()}!"

    async def arun(self, context: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        return f"{await call_next()}!"


class SyncOnly(Middleware):
    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        return call_next()


class InTenant(Middleware):
    """Sets a context variable, from what the enqueueing side knew."""

    def on_enqueue(self, item: Enqueueing) -> None:
        item.headers["tenant"] = tenant.get()

    @contextmanager
    def around(self, context: Context) -> Iterator[None]:
        token = tenant.set(context.headers["tenant"])
        yield
        tenant.reset(token)


class Refusing(Middleware):
    def around(self, context: Context) -> AbstractContextManager[object]:
        raise LookupError(f"attempt {context.attempt} is not welcome")


def test_the_first_is_outermost_and_those_of_the_type_are_inside(
    bench: Bench, install: Install
) -> None:
    notes: list[str] = []
    install(Noting("a", notes))
    install(Second("b", notes))

    @tq.job(middleware=[Noting("c", notes), Noting("d", notes)])
    def noted(words: str) -> str:
        notes.append(words)
        return words

    # In this process: what goes by value has notes of its own.
    job = noted.job_type
    _ = noted.enqueue("x")
    assert notes == [f"{name} sees noted" for name in "abcd"]
    notes.clear()
    bench.work()
    inside(bench, lambda: job.run(job.binder.bind(("the job",), {})))
    entered = [f"{name} in" for name in "abcd"]
    left = [f"{name} out" for name in "dcba"]
    assert notes[-9:] == [*entered, "the job", *left]


def test_sync_async_and_class_jobs_are_surrounded(bench: Bench, install: Install) -> None:
    notes: list[str] = []
    install(Noting("it", notes))
    plain, coroutine = bench.q.enqueue(send, "a"), bench.q.enqueue(fetch, 1)
    one = bench.q.push(Resize({"path": "cat.png"}))
    notes.clear()
    assert bench.work() == 3
    assert notes == ["it in", "it out"] * 3
    assert (plain.result(timeout=9), coroutine.result(timeout=9)) == ("a: ", 2)
    assert one.wait(timeout=9) is tq.JobState.COMPLETED


def test_a_class_has_middleware_as_an_attribute(bench: Bench) -> None:
    class Loud(tq.Job):
        middleware = (Exclaiming(),)

        def handle(self) -> str:
            self.payload["kept"] = True
            return "done"

    handle = bench.q.push(Loud())
    bench.work()
    assert handle.result(timeout=9) == "done!"
    assert handle.info().payload == {"kept": True}


def test_options_that_it_changes_are_stored(bench: Bench, install: Install) -> None:
    install(Labelling())
    record = bench.q.enqueue(send.options(tags=["mine"]), "a").info()
    assert (record.tags, record.priority) == (("mine", "seen"), 77)
    seen = ("mail", "seen")
    [other] = bench.q.enqueue_many([send.item("b")])
    assert other.info().tags == seen
    with bench.q.pipeline() as pipeline:
        third = pipeline.enqueue(send, "c")
    assert third.info().tags == seen
    with bench.q.workflow("flow") as flow:
        fourth = flow.add(send, "d")
    assert fourth.info().tags == seen
    assert [job.id for job in bench.q.jobs(workflow=flow.id)] == [fourth.id]
    assert asyncio.run(bench.q.aenqueue(send, "e")).info().tags == seen
    assert send.job_type.defaults.tags == ("mail",)


def test_a_change_is_checked_like_an_option(bench: Bench, install: Install) -> None:
    class Wrong(Middleware):
        def on_enqueue(self, item: Enqueueing) -> None:
            item.change(**changes)

    install(Wrong())
    changes: dict[str, object] = {"priority": 101}
    with pytest.raises(tq.InvalidOption, match="priority"):
        _ = bench.q.enqueue(send, "a")
    changes = {"id": tq.new_id()}
    with pytest.raises(tq.InvalidOption, match="has one already"):
        _ = bench.q.enqueue(send.options(id=tq.new_id()), "a")
    assert bench.q.enqueue(send, "a").id == changes["id"]
    assert bench.q.stats("mail").total == 1


def test_a_refusal_stores_nothing_and_reaches_the_caller(bench: Bench, install: Install) -> None:
    install(Forbidding())
    with pytest.raises(PermissionError, match="not to eve"):
        _ = bench.q.enqueue(send, "eve")
    with pytest.raises(PermissionError):
        _ = asyncio.run(bench.q.aenqueue(send, to="eve"))
    with pytest.raises(PermissionError):
        bench.q.enqueue_many(send.item(to) for to in ("adam", "eve", "abel"))
    with pytest.raises(PermissionError):
        add_both(bench)
    assert list(bench.q.stats()) == []
    assert bench.q.enqueue(send, "adam").durable


def test_what_it_raises_around_a_run_is_a_failed_attempt(bench: Bench, install: Install) -> None:
    install(Refusing())
    handle = bench.q.enqueue(
        send.options(max_attempts=2, backoff=tq.Backoff.fixed("1s", jitter=False)), "a"
    )
    bench.work()
    assert handle.status() is tq.JobState.SCHEDULED
    bench.advance(2)
    bench.work()
    with pytest.raises(tq.JobFailed) as failed:
        handle.result(timeout=9)
    assert (failed.value.error_type, failed.value.message) == (
        "LookupError",
        "attempt 2 is not welcome",
    )
    assert handle.info().attempts == 2


def test_it_may_replace_a_result_or_do_without_the_job(bench: Bench, install: Install) -> None:
    class Cached(SyncOnly):
        def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
            return "from the cache"

        async def arun(self, context: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
            return await call_next()

    install(Exclaiming())
    handle = bench.q.enqueue(send, "a")
    bench.work()
    assert handle.result(timeout=9) == "a: !"
    install(Cached())
    handle = bench.q.enqueue(send, "a")
    bench.work()
    assert handle.result(timeout=9) == "from the cache!"


def test_headers_travel_to_the_run_and_on(bench: Bench, install: Install) -> None:
    seen: list[str] = []

    class Reading(Middleware):
        def around(self, context: Context) -> AbstractContextManager[object]:
            seen.append(f"{context.job.type.rpartition('.')[2]} {context.headers.get('trace')}")
            return nullcontext()

    install(Tracing())
    install(Reading())
    clients.append(bench.q)
    first = bench.q.enqueue(onward)
    second = bench.q.enqueue(send, first)
    bench.work()
    # What `onward` enqueues carries its word on; what waits for its result has its own.
    assert sorted(seen) == ["onward 4bf92f35", "send 4bf92f35", "send 4bf92f35>"]
    assert second.wait(timeout=9) is tq.JobState.COMPLETED


def test_headers_are_sealed_and_beside_the_arguments(bench: Bench, install: Install) -> None:
    bare = bench.q.enqueue(send, "a")
    install(Tracing())
    one = bench.q.enqueue(send.options(unique=tq.Unique(within="1h")), "a")
    assert one.info().arguments == {"to": "a"}
    sizes = {
        handle.id: len(bench.host.engine.state.jobs[handle.raw_id].payload)
        for handle in (bare, one)
    }
    assert sizes[one.id] > sizes[bare.id]
    assert not any(b"4bf92f35" in bytes(file) for file in bench.host.fs._files.values())
    # A trace is no part of what makes a job the same as another.
    again = bench.q.enqueue(send.options(unique=tq.Unique(within="1h")), "a")
    assert again.id == one.id


@pytest.mark.parametrize("headers", [{"n": 1}, {1: "n"}, {"n": None}])
def test_headers_are_text(bench: Bench, install: Install, headers: dict[Any, Any]) -> None:
    class Wrong(Middleware):
        def on_enqueue(self, item: Enqueueing) -> None:
            item.headers.update(headers)

    install(Wrong())
    with pytest.raises(tq.InvalidOption, match="headers"):
        _ = bench.q.enqueue(send, "a")
    assert list(bench.q.stats()) == []


class Idle(Middleware):
    pass


class AsyncHook(Middleware):
    async def on_enqueue(self, item: Enqueueing) -> None:  # type: ignore[override]  # the point
        pass


class AsyncRun(Middleware):
    async def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        return call_next()


class SyncArun(Middleware):
    def arun(self, context: Context, call_next: Callable[[], Any]) -> Any:
        return call_next()


class GeneratingRun(Middleware):
    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        yield call_next()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Labelling, "the class Labelling"),
        (print, "an instance"),
        (None, "an instance"),
        (Idle(), "on_enqueue, around, run, arun"),
        (AsyncHook(), "on_enqueue that is a plain function"),
        (AsyncRun(), "run that is a plain function"),
        (SyncArun(), "arun that is an `async def`"),
        (GeneratingRun(), "no generator"),
    ],
)
def test_what_is_no_middleware_is_refused(given: Any, words: str) -> None:
    with pytest.raises(tq.InvalidOption, match=words):
        tq.use(given)
    with pytest.raises(tq.InvalidOption, match=words):
        tq.job(middleware=[given])(send.__wrapped__)
    assert installed.all == ()


def test_middleware_of_a_type_is_a_list() -> None:
    with pytest.raises(tq.InvalidOption, match="a list"):
        tq.job(middleware=Labelling())  # type: ignore[call-overload]  # the point
    with pytest.raises(tq.InvalidOption, match="middleware"):
        send.options(middleware=[Labelling()])  # type: ignore[call-arg]  # likewise


def test_a_form_that_does_not_fit_is_refused_at_registration(install: Install) -> None:
    with pytest.raises(tq.InvalidRequest, match="async def arun"):
        install(SyncOnly())  # it would meet `fetch`, which is an `async def`

    class AsyncOnly(Middleware):
        async def arun(self, context: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
            return await call_next()

    with pytest.raises(tq.InvalidRequest, match="def run"):
        tq.job(middleware=[AsyncOnly()])(send.__wrapped__)

    with pytest.raises(tq.InvalidRequest, match="around"):
        tq.job(middleware=[SyncOnly()])(fetch.__wrapped__)
    assert installed.all == ()
    install(Exclaiming())
    late = SyncOnly()
    installed.add(late, "app")  # as if there had been no coroutine yet
    try:
        with pytest.raises(tq.InvalidRequest, match="SyncOnly"):
            tq.job(type="new.coroutine")(fetch.__wrapped__)
    finally:
        installed.remove(late)
    assert "new.coroutine" not in registry.names


def test_a_context_manager_serves_both_kinds(bench: Bench, install: Install) -> None:
    install(InTenant())

    context = contextvars.copy_context()
    context.run(tenant.set, "acme")
    handles = [context.run(whose.enqueue), context.run(awhose.enqueue), whose.enqueue()]
    assert bench.work() == 3
    assert [handle.result(timeout=9) for handle in handles] == ["acme", "acme", "nobody"]
    assert tenant.get() == "nobody"


def test_a_hook_that_returns_something_is_refused(bench: Bench, install: Install) -> None:
    class Returning(Middleware):
        def on_enqueue(self, item: Enqueueing) -> Any:
            return item

    install(Returning())
    with pytest.raises(tq.InvalidRequest, match="changes the item"):
        _ = bench.q.enqueue(send, "a")


def test_one_of_the_same_class_replaces_the_first_in_its_place(install: Install) -> None:
    first, second, again = Noting("a", []), Second("b", []), Noting("c", [])
    install(first)
    install(second)
    install(again)
    assert installed.all == (again, second)


def test_executors_import_the_modules_that_install(install: Install) -> None:
    assert "app.hooks" not in registry.modules
    install(Labelling(), "app.hooks")
    install(Tracing(), "__main__")
    assert "app.hooks" in registry.modules
    assert "__main__" not in registry.modules


def test_the_module_is_that_whose_import_calls_for_it() -> None:
    found: dict[str, Any] = {"__name__": "app.hooks", "importing": importing}
    exec("def setup():\n    return importing()\nfound = setup()", found)
    assert found["found"] == "app.hooks"


def test_from_main_it_goes_along_with_the_functions_of_main(bench: Bench, install: Install) -> None:
    install(Tracing(), "__main__")
    notebook = install(Everywhere(), "__main__")

    @tq.job(middleware=[Exclaiming()])
    def cell(word: str) -> str:
        return word

    handle = cell.enqueue("hello")
    _, stored = code.capture(cell.job_type, bench.sealer, 0.0)
    installed.remove(notebook)  # an executor does not have it
    bench.work()
    assert handle.result(timeout=9) == "<hello!>"
    assert isinstance(stored, StoredCode)


def test_from_main_it_is_refused_for_functions_of_modules(bench: Bench, install: Install) -> None:
    install(Everywhere(), "__main__")
    with pytest.raises(tq.InvalidRequest, match="at the top of a module"):
        _ = bench.q.enqueue(send, "a")
    assert list(bench.q.stats()) == []
    install(Tracing(), "__main__")  # this one has no run side, so nothing would be missing


def test_back_where_it_came_from_nothing_is_applied_twice(bench: Bench, install: Install) -> None:
    install(Everywhere(), "__main__")

    @tq.job(type="cell.again")
    def cell(word: str) -> str:
        return word

    again = cloudpickle.loads(cloudpickle.dumps(cell))
    handle = again.enqueue("hello")
    bench.work()
    assert handle.result(timeout=9) == "<hello>"


def test_without_middleware_nothing_is_added(bench: Bench) -> None:
    handle = bench.q.enqueue(send, "a")
    assert not send.job_type.has_own
    plain = send.job_type.binder.bind(("a",), {})
    sealed = bench.host.engine.state.jobs[handle.raw_id].payload
    assert len(sealed) == len(plain) + 46
    assert msgspec.msgpack.decode(plain) == {"to": "a"}


class Everywhere(Middleware):
    def run(self, context: Context, call_next: Callable[[], Any]) -> Any:
        return f"<{call_next()}>"

    async def arun(self, context: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        return f"<{await call_next()}>"


def add_both(bench: Bench) -> None:
    with bench.q.workflow("flow") as flow:
        _ = flow.add(send, "adam")
        _ = flow.add(send, "eve")


def inside(bench: Bench, call: Callable[[], Any]) -> Any:
    """Call as code of a running job."""
    from taskqueue_ray.core.exchange import Grant
    from taskqueue_ray.core.model import JobId, Options
    from taskqueue_ray.engine.context import activate, deactivate

    token = activate(
        Context(
            bench.channel, Grant(JobId(bytes(16)), 1, 1, 1, 0, b""), Options("q", "t"), bench.sealer
        )
    )
    try:
        return call()
    finally:
        deactivate(token)
