"""The sentences of the package's log: events with fields, bounded, and without what is sealed."""

import json
import logging
from collections.abc import Iterator

import pytest

from taskqueue_ray.core.exchange import Outcome, OutcomeKind
from taskqueue_ray.core.model import Failure, Options
from taskqueue_ray.engine import logs
from taskqueue_ray.engine.wording import SENTENCES, Failures, say
from tests.records import job_id

log = logging.getLogger("taskqueue_ray.cluster.trial")
MAIL = Options(queue="mail", type="shop.send", name="of nobody's business")
SEALED = b"sealed words"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    logger = logging.getLogger(logs.LOGGER)
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def _failed(number: int) -> Outcome:
    failure = Failure("error", "ValueError", SEALED)
    return Outcome(job_id(number), 1, 1, OutcomeKind.ERRORED, seconds=0.5, failure=failure)


def test_fields_stand_in_the_sentence_or_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info")
    say(log, "worker_gone", worker="w 1", why="its actor died")
    line = capsys.readouterr().err
    assert "a worker is gone: its actor died" in line
    assert line.rstrip().endswith('worker="w 1"')


def test_in_json_they_are_members(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    say(log, "serving", storage="/data", jobs=3, epoch=2, claim="free")
    found = json.loads(capsys.readouterr().err)
    assert (found["event"], found["message"]) == ("serving", "serving /data with 3 jobs")
    assert (found["epoch"], found["claim"]) == (2, "free")


def test_what_is_below_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning")
    say(log, "worker_left", worker="w")
    assert capsys.readouterr().err == ""


def test_each_failed_attempt_names_its_job_and_nothing_sealed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up("info", "json")
    tell = Failures(log, lambda: 10.0)
    tell(MAIL, _failed(1), "retried")
    tell(MAIL, _failed(2), "failed")
    text = capsys.readouterr().err
    first, second = map(json.loads, text.splitlines())
    assert (first["event"], second["event"]) == ("job_retried", "job_failed")
    assert (first["job"], first["type"]) == (job_id(1).hex(), "shop.send")
    assert (first["queue"], first["error"], first["cause"]) == ("mail", "ValueError", "error")
    assert "sealed" not in text
    assert "business" not in text


def test_a_thousand_failures_are_told_in_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    now = [10.0]
    tell = Failures(log, lambda: now[0])
    for number in range(1_000):
        tell(MAIL, _failed(number), "failed")
    now[0] = 11.0
    tell(MAIL, _failed(1_000), "failed")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == Failures.A_SECOND + 2
    assert lines[-2]["message"] == f"{1_000 - Failures.A_SECOND} more attempts failed"


def test_every_sentence_can_be_said() -> None:
    for event, sentence in SENTENCES.items():
        assert sentence.level >= logging.INFO, event
        assert not sentence.text.endswith("."), event
