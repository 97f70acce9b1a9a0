"""The package's log, as its own processes set it up."""

import json
import logging
from collections.abc import Iterator

import pytest

from taskqueue_ray.engine import logs


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    logger = logging.getLogger(logs.LOGGER)
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_the_level_decides_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning")
    log = logging.getLogger("taskqueue_ray.cluster")
    log.info("quiet")
    log.warning("loud")
    said = capsys.readouterr().err
    assert "loud" in said
    assert "quiet" not in said


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    try:
        raise ValueError("no\nway")
    except ValueError:
        logging.getLogger("taskqueue_ray.engine").exception("it failed: %s", "two\nlines")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["level"], found["message"]) == ("error", "it failed: two\nlines")
    assert "ValueError: no" in found["traceback"]
