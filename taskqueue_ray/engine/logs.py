"""The package's log, set up once in each of its processes: as key-value text or JSON, a line each.

In executors the lines that a job's code logs, through `logging` like all code, carry its id and
type.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from taskqueue_ray.engine.context import current_or_none

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

LOGGER = "taskqueue_ray"
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
MOST_IDS = 5
"""Jobs of one call that a line names."""


class KeyValueLines(logging.Formatter):
    """Time, level, logger and message, and then what else is known as `key=value`."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # of the base class
        """The first line, before a traceback."""
        pairs = " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())
        line = super().formatMessage(record)
        return f"{line} {pairs}" if pairs else line


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, fields, an error's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if event := getattr(record, "event", None):
            line["event"] = str(event)
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def set_up(level: Level = "info", form: Format = "text") -> None:
    """Send this package's log to stderr from `level` on. May be repeated; the last call counts.

    Only for processes that are the package's own (its actors, its command): a program that uses
    the SDK sets `logging` up as it likes.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form))
    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


class _Naming:
    """Makes records as before, and has them name the job that logs."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        context = current_or_none()
        jobs = context.jobs if context is not None else ()
        record.job_id = ",".join(job.id for job in jobs[:MOST_IDS])
        record.job_type = jobs[0].type if jobs else ""
        return record


def set_up_jobs(environment: Mapping[str, str]) -> None:
    """Have what jobs log in this process name the job: on `record.job_id` and `record.job_type`.

    Unless the application has set `logging` up, its lines go to stderr as the package's own do, at
    the level and in the form that the variables of those settings say.
    """
    make = logging.getLogRecordFactory()
    if not isinstance(make, _Naming):
        logging.setLogRecordFactory(_Naming(make))
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_formatter(environment.get("TASKQUEUE_LOG_FORMAT", "text")))
        root.addHandler(handler)
        level = environment.get("TASKQUEUE_LOG_LEVEL", "info").upper()
        if root.level == logging.WARNING and level in logging.getLevelNamesMapping():
            root.setLevel(level)


def _formatter(form: str) -> logging.Formatter:
    return JsonLines() if form == "json" else KeyValueLines()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = dict(getattr(record, "fields", None) or {})
    if job_id := getattr(record, "job_id", ""):
        found["job"] = job_id
        found["type"] = getattr(record, "job_type", "")
    return found


def _quoted(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and " " not in text else json.dumps(text)
