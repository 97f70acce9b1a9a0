"""OpenTelemetry: one trace from where a job is enqueued, over its wait and run, to its children.

`install()` at the top of a module of the application. Nothing of this is loaded without that. Spans
go to the tracer provider of each process, so what sets that up belongs into the same module.
Needs `pip install taskqueue-ray[otel]`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import SpanKind, Status, StatusCode

from taskqueue_ray.engine.context import Context, ControlFlow, Fail, Retry, RunningJob
from taskqueue_ray.engine.middleware import Enqueueing, Middleware, importing
from taskqueue_ray.engine.registry import registry

SYSTEM = "taskqueue_ray"
_FAILURES = (Fail, Retry)


def install() -> None:
    """Have each job that this process enqueues or runs traced; once is enough."""
    registry.use(Tracing(), importing())


class Tracing(Middleware):
    """Spans `enqueue`, `wait` and `run`, each with the job's type; what `install` installs.

    What is in the current trace is sent along in the job's headers, sealed with its arguments, by
    the propagator that OpenTelemetry is set up with. No span has arguments, results or the words
    of an error.
    """

    def on_enqueue(self, item: Enqueueing) -> None:
        """A span of no length, from which all of the job's others hang."""
        facts = {"messaging.operation.type": "send", "taskqueue.job.type": item.type}
        if item.options.queue is not None:
            facts["messaging.destination.name"] = item.options.queue
        if item.options.id is not None:
            facts["messaging.message.id"] = str(item.options.id)
        with _tracer().start_as_current_span(
            f"enqueue {item.type}", kind=SpanKind.PRODUCER, attributes=facts | _SYSTEM
        ):
            propagate.inject(item.headers)

    @contextmanager
    def around(self, context: Context) -> Iterator[None]:
        """The run; what the job enqueues meanwhile is below it. A batch has one for all."""
        jobs = context.jobs
        parent = propagate.extract(context.headers)
        facts = {**_facts(jobs[0]), "taskqueue.attempt": jobs[0].attempt}
        if context.single is None:
            facts = {"taskqueue.job.type": jobs[0].type, "messaging.batch.message_count": len(jobs)}
        elif jobs[0].delivery == 1:
            _waited(jobs[0], parent)
        with _tracer().start_as_current_span(
            f"run {jobs[0].type}", parent, SpanKind.CONSUMER, {**facts, **_SYSTEM, **_PROCESS},
            record_exception=False, set_status_on_exception=False,
        ) as span:  # fmt: skip
            try:
                yield
            except BaseException as error:
                if isinstance(error, ControlFlow) and not isinstance(error, _FAILURES):
                    span.set_attribute("taskqueue.ended_by", type(error).__name__)
                else:
                    # Its words are sealed everywhere else, and so are not sent to a collector.
                    span.set_attribute("error.type", type(error).__name__)
                    span.set_status(Status(StatusCode.ERROR))
                raise

    def close(self) -> None:
        """Send what a provider that gathers spans still has."""
        flush = getattr(trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(2_000)


_SYSTEM = {"messaging.system": SYSTEM}
_PROCESS = {"messaging.operation.type": "process"}


def _tracer() -> trace.Tracer:
    return trace.get_tracer(SYSTEM)


def _facts(job: RunningJob) -> dict[str, str | int]:
    return {
        "taskqueue.job.type": job.type,
        "messaging.destination.name": job.queue,
        "messaging.message.id": job.id,
    }


def _waited(job: RunningJob, parent: TraceContext) -> None:
    now = time.time_ns()
    began = min(now, int(job.enqueued_at * 1e9))
    span = _tracer().start_span(
        f"wait {job.type}", parent, SpanKind.INTERNAL, {**_facts(job), **_SYSTEM}, start_time=began
    )
    span.end(now)
