"""What the package's own log says of jobs and of its parts: all sentences in one place.

`say` logs an event by its name. The log's handlers append its fields as `key=value`, or put them
beside the message in JSON. Fields are names, ids, numbers and types of errors: never a payload, a
result or the words of an error.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from taskqueue_ray.core.exchange import Outcome
from taskqueue_ray.core.identity import to_text
from taskqueue_ray.core.model import Options

Field = str | int | float


class Sentence(NamedTuple):
    """How loud an event is told, and in which words; its fields may stand in them."""

    level: int
    text: str


SENTENCES = {
    "serving": Sentence(logging.INFO, "serving {storage} with {jobs} jobs"),
    "folded": Sentence(logging.INFO, "folded {jobs} finished jobs into the history"),
    "pruned": Sentence(logging.INFO, "dropped {jobs} finished jobs that were kept long enough"),
    "job_retried": Sentence(logging.INFO, "an attempt of a job failed; another follows"),
    "job_failed": Sentence(logging.WARNING, "a job failed for good"),
    "failures_omitted": Sentence(logging.WARNING, "{count} more attempts failed"),
    "worker_left": Sentence(logging.INFO, "a worker has left"),
    "worker_gone": Sentence(logging.WARNING, "a worker is gone: {why}"),
    "worker_late": Sentence(logging.WARNING, "a worker let its leases run out"),
    "worker_told_to_end": Sentence(logging.WARNING, "the worker was told to end"),
    "incident": Sentence(logging.WARNING, "{kind}: {text}"),
    "outcomes_late": Sentence(
        logging.WARNING, "{count} outcomes came too late: their leases had ended"
    ),
}
"""Every event, by its name."""


def say(log: logging.Logger, event: str, **fields: Field) -> None:
    """Log an event of `SENTENCES` with its fields."""
    sentence = SENTENCES[event]
    if log.isEnabledFor(sentence.level):
        text = sentence.text.format_map(fields)
        beside = {
            name: value for name, value in fields.items() if f"{{{name}}}" not in sentence.text
        }
        log.log(sentence.level, "%s", text, extra={"event": event, "fields": beside})


class Failures:
    """Tells of failed attempts, not more than some in a second: a thousand are one problem."""

    A_SECOND = 20

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._second = 0
        self._told = 0
        self._omitted = 0

    def __call__(self, options: Options, outcome: Outcome, verdict: str) -> None:
        """An attempt has failed; `verdict` is `retried` or `failed`."""
        self.settle()
        if self._told >= self.A_SECOND:
            self._omitted += 1
            return
        self._told += 1
        failure = outcome.failure
        say(
            self._log, f"job_{verdict}",
            job=to_text(outcome.id), type=options.type, queue=options.queue,
            cause=failure.cause if failure else "error",
            error=failure.error_type if failure else "Unknown",
            seconds=round(outcome.seconds, 3),
        )  # fmt: skip

    def settle(self) -> None:
        """When its second is over, say how many were left out; called now and then."""
        if (second := int(self._clock())) == self._second:
            return
        self._second, self._told = second, 0
        if self._omitted:
            omitted, self._omitted = self._omitted, 0
            say(self._log, "failures_omitted", count=omitted)
