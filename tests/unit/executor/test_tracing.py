"""Traces in executors: real processes, whose application sets OpenTelemetry up."""

from typing import Any

from taskqueue_ray.core.exchange import OutcomeKind
from taskqueue_ray.core.model import JobId
from taskqueue_ray.engine.headers import attach
from taskqueue_ray.engine.registry import registry
from tests.unit.executor import sample_jobs
from tests.unit.executor.lab import Lab, lab

APP = (sample_jobs.__name__, "tests.unit.executor.traced_app")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


def _submit(it: Lab, name: str, *args: Any) -> JobId:
    options = it.options(name)
    plain = registry.get(options.type).binder.bind(args, {})
    grant = it.grant(options.type, attach(HEADERS, plain))
    it.executors.submit([options], [grant])
    return grant.id


@lab(app_modules=APP)
async def test_a_run_belongs_to_the_trace_that_enqueued_it(it: Lab) -> None:
    await it.outcome(_submit(it, "echo", "a secret"))
    failed = await it.outcome(_submit(it, "fails_with", "words of the error"))
    assert failed.kind is OutcomeKind.ERRORED
    spans = await it.result("spans_so_far")
    # Of a later delivery, as these are, nobody knows how long it has waited.
    assert [span["name"] for span in spans] == ["run sample.echo", "run sample.fails_with"]
    assert {(span["trace"], span["parent"]) for span in spans} == {(TRACE, SPAN)}
    assert [span["status"] for span in spans] == ["UNSET", "ERROR"]
    text = "".join(span["all"] for span in spans)
    assert "ValueError" in text
    assert "a secret" not in text
    assert "words of the error" not in text
