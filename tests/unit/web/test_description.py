"""The description of the API, held against the API: what is sent at random, and what comes back."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as of_openapi

from taskqueue_ray.engine.registry import registry
from taskqueue_ray.sdk.ids import new_id
from taskqueue_ray.web import create_app
from taskqueue_ray.web.app import WebApp
from taskqueue_ray.web.options import WebOptions
from taskqueue_ray.web.problems import MEDIA_TYPE
from tests.inprocess import Bench
from tests.ledger import facts
from tests.unit.sdk.jobs_for_tests import break_down, send
from tests.unit.web.conftest import OPERATOR, VIEWER, Clock

CHECKS = [
    checks.not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_schema_conformance,
    of_openapi.response_headers_conformance,
]
SMOKE = ("POST /api/v1/jobs", "GET /api/v1/jobs", "PATCH /api/v1/queues/{queue}")
TOKENS = {"operator": OPERATOR, "viewer": VIEWER, "nobody": None}


@pytest.fixture
def app(bench: Bench, clock: Clock, options: WebOptions) -> WebApp:
    return create_app(bench.q, options, clock)


@pytest.fixture
def ids(bench: Bench) -> list[str]:
    """Jobs in several states, and one that there is not."""
    dead = [break_down.enqueue("x").id for _ in range(3)]
    bench.work()
    waiting = [send.options(delay=3600).enqueue("x").id for _ in range(3)]
    return [*dead, *waiting, send.enqueue("x").id, new_id()]


def _operations(app: WebApp) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(app.routes.openapi())
    schema.app = app
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        yield found.ok()


def _try(operation: Any, ids: list[str], token: str | None, count: int) -> list[str]:
    """Send what fits the description, and what does not; what is wrong with the answers."""
    wrong: list[str] = []
    for mode in GenerationMode:
        if mode is GenerationMode.NEGATIVE and operation.label.endswith("/health"):
            continue  # there is nothing in it that could be wrong

        @settings(
            max_examples=count, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        )  # fmt: skip
        @given(operation.as_strategy(generation_mode=mode), st.sampled_from([*ids, None]))
        def ask(case: Any, id: str | None) -> None:
            _make_real(case, id)
            headers = {"authorization": f"Bearer {token}"} if token else {"authorization": ""}
            answer = case.call(headers=headers)
            try:
                case.validate_response(answer, checks=CHECKS)
            except Exception as error:
                wrong.append(f"{operation.label}: {error}")
            if answer.status_code >= 400 and not _is_problem(answer):
                wrong.append(f"{operation.label}: {answer.status_code} is no problem")
            if token is None and answer.status_code != 401:
                wrong.append(f"{operation.label}: {answer.status_code} for nobody")
            if token == VIEWER and case.method not in ("GET", "HEAD") and answer.status_code < 400:
                wrong.append(f"{operation.label}: {answer.status_code} for a viewer")

        ask()
    return wrong


def _make_real(case: Any, id: str | None) -> None:
    """Ids and types at random are hardly ever those of something; and nobody has a minute."""
    if "wait" in (case.query or {}):
        case.query["wait"] = 0.01  # it would be waited for
    if id is None:
        return
    if "id" in (case.path_parameters or {}) and "jobs" in case.path:
        case.path_parameters["id"] = id
    names = registry.names
    jobs = case.body.get("jobs", [case.body]) if isinstance(case.body, dict) else []
    for job in jobs if isinstance(jobs, list) else []:
        if isinstance(job, dict) and "type" in job and "filter" not in job:
            job["type"] = names[int(id[:4], 16) % len(names)]


def _is_problem(answer: Any) -> bool:
    body = answer.json()
    named = answer.headers["content-type"][0].startswith(MEDIA_TYPE)
    return named and {"type", "title", "status", "detail"} <= set(body)


def _facts(bench: Bench) -> dict[str, Any]:
    """All that the queue knows."""
    with bench.host.lock:
        return deepcopy(facts(bench.host.engine.state))


def test_what_is_sent_at_random_gets_a_typed_answer(app: WebApp, ids: list[str]) -> None:
    found = [one for one in _operations(app) if one.label in SMOKE]
    assert len(found) == len(SMOKE)
    assert [fault for one in found for fault in _try(one, ids, OPERATOR, 5)] == []


@pytest.mark.parametrize("who", ["viewer", "nobody"])
def test_what_is_refused_changes_nothing(
    app: WebApp, bench: Bench, ids: list[str], who: str
) -> None:
    before = _facts(bench)
    token = TOKENS[who]
    acting = [one for one in _operations(app) if one.method != "get"]
    assert len(acting) > 8
    assert [fault for one in acting for fault in _try(one, ids, token, 2)] == []
    assert _facts(bench) == before


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("who", TOKENS)
def test_every_operation_answers_as_described(
    app: WebApp, bench: Bench, ids: list[str], who: str
) -> None:
    before = _facts(bench)
    wrong = []
    for operation in _operations(app):
        if who == "nobody" and operation.label.endswith("/health"):
            continue
        wrong += _try(operation, ids, TOKENS[who], 25)
    assert wrong == []
    if who != "operator":
        assert _facts(bench) == before
