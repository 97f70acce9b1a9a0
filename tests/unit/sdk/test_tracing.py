"""One trace from an enqueue over the run to the jobs that it enqueues, and what it leaves out."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import taskqueue_ray as tq
from taskqueue_ray.engine.middleware import installed
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.tracing import Tracing
from tests.inprocess import Bench
from tests.unit.sdk.jobs_for_tests import send

clients: list[tq.TaskQueue] = []


@tq.job
def parent(to: str) -> str:
    return clients[0].enqueue(send, to).id


@tq.job
def sleepy() -> None:
    raise tq.Snooze("5m")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    made = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    one = Tracing()
    registry.use(one, "app")
    yield made
    installed.remove(one)


def _by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def _above(span: ReadableSpan) -> int:
    assert span.parent is not None
    return int(span.parent.span_id)


def _id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def test_enqueue_wait_run_and_child_are_one_trace(
    bench: Bench, exporter: InMemorySpanExporter
) -> None:
    clients[:] = [bench.q]
    with trace.get_tracer("program").start_as_current_span("request"):
        handle = bench.q.enqueue(parent, "a@b.c")
    bench.work()
    spans = _by_name(exporter)
    name, child = parent.job_type.name, send.job_type.name
    assert set(spans) == {"request"} | {
        f"{verb} {kind}" for verb in ("enqueue", "wait", "run") for kind in (name, child)
    }
    assert len({span.context.trace_id for span in spans.values() if span.context}) == 1
    assert _above(spans[f"enqueue {name}"]) == _id(spans["request"])
    assert _above(spans[f"wait {name}"]) == _id(spans[f"enqueue {name}"])
    assert _above(spans[f"run {name}"]) == _id(spans[f"enqueue {name}"])
    assert _above(spans[f"enqueue {child}"]) == _id(spans[f"run {name}"])
    assert _above(spans[f"run {child}"]) == _id(spans[f"enqueue {child}"])
    run = spans[f"run {name}"]
    assert run.attributes is not None
    assert run.attributes["messaging.message.id"] == handle.id
    assert run.attributes["messaging.destination.name"] == "default"
    assert run.attributes["taskqueue.attempt"] == 1
    assert "a@b.c" not in "".join(span.to_json() for span in spans.values())


def test_a_snooze_is_no_error(bench: Bench, exporter: InMemorySpanExporter) -> None:
    _ = bench.q.enqueue(sleepy)
    bench.work()
    run = _by_name(exporter)[f"run {sleepy.job_type.name}"]
    assert run.status.is_unset
    assert run.attributes is not None
    assert run.attributes["taskqueue.ended_by"] == "Snooze"
    bench.advance(301.0)
    bench.work()
    names = [span.name.split()[0] for span in exporter.get_finished_spans()]
    assert names == ["enqueue", "wait", "run", "run"]


def test_spans_that_are_gathered_are_sent_when_the_executor_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    gathered = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(gathered, schedule_delay_millis=60_000))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    trace.get_tracer("x").start_span("late").end()
    assert gathered.get_finished_spans() == ()
    Tracing().close()
    assert [span.name for span in gathered.get_finished_spans()] == ["late"]
    provider.shutdown()


def test_what_is_not_installed_loads_nothing() -> None:
    import subprocess
    import sys

    code = (
        "import sys, taskqueue_ray as tq; tq.job, tq.TaskQueue, tq.connect;"
        "import taskqueue_ray.executor.forkserver;"
        "sys.exit(any(n.split('.')[0] in ('opentelemetry', 'prometheus_client') "
        "for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
