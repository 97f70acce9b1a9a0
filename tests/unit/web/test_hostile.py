"""Whatever users call their jobs, and whatever their errors say: it is shown as text."""

import re
from collections.abc import Callable

import pytest
from jinja2 import BaseLoader, Environment

from taskqueue_ray.web.pages import rendering
from tests.inprocess import Bench
from tests.unit.web.conftest import Visitor
from tests.unit.web.hostile import HOSTILE, enqueue_all, faults_of
from tests.unit.web.test_pages import PAGES


def test_two_hundred_hostile_strings_run_nothing(operator: Visitor, bench: Bench) -> None:
    assert len(set(HOSTILE)) == 200
    ids = enqueue_all(bench)
    bench.fold()
    pages = [*PAGES, "/jobs?state=failed", "/history?state=completed"]
    pages += [f"/jobs/{id}" for id in ids]
    faults = [(path, fault) for path in pages for fault in faults_of(operator.get(path).text)]
    for text in HOSTILE[:20]:
        for path in ("/jobs", "/history", "/failed", "/jobs/many/cancel", "/login"):
            asked = operator.client.get(
                path, params={"queue": text, "text": text, "next": text, "tag": text}
            )
            faults += [(path, fault) for fault in faults_of(asked.text)]
    assert faults == []


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("jobs.html", "job.name"),
        ("job.html", "job.error.message | cut(4000)"),
        ("job.html", "sight.arguments.text"),
        ("job.html", "step.detail | cut(200)"),
        ("job.html", "job.category"),
        ("parts.html", "given.get('text', '')"),
        ("history.html", "tag"),
        ("actions.html", "one.target | cut(160)"),
        ("base.html", "notice"),
    ],
)
def test_a_field_that_is_not_escaped_is_found(
    operator: Visitor, bench: Bench, monkeypatch: pytest.MonkeyPatch, template: str, shown: str
) -> None:
    evil = '"><img src=x onerror=evil(0)>'
    id = _everywhere(operator, bench, evil)
    pages = (f"/jobs/{id}", "/jobs", "/history", "/actions", f"/jobs?text={evil}")

    def seen() -> list[str]:
        return [fault for path in pages for fault in faults_of(operator.get(path).text)]

    assert seen() == []
    operator.app.site.memory.forget()
    operator.client.cookies.set(rendering.NOTICE, evil.encode().hex())
    plain = re.compile(r"\{\{ " + re.escape(shown) + r" \}\}")

    class Planted(BaseLoader):
        def get_source(
            self, environment: Environment, name: str
        ) -> tuple[str, str | None, Callable[[], bool] | None]:
            assert real is not None
            source, file, current = real.get_source(environment, name)
            if name == template:
                source, times = plain.subn("{{ (" + shown + ") | safe }}", source)
                assert times
            return source, file, current

    real = rendering.templates.loader
    monkeypatch.setattr(rendering.templates, "loader", Planted())
    monkeypatch.setattr(rendering.templates, "cache", {})
    assert seen() != []


def _everywhere(operator: Visitor, bench: Bench, text: str) -> str:
    """A dead letter with that text in every field, in the history too, and an action on it."""
    from tests.unit.sdk.jobs_for_tests import break_down

    options = break_down.options(name=text, tags=[text], category=text)
    id = options.enqueue(text).id
    bench.work()
    other = options.options(delay=3600).enqueue(text).id
    bench.q.cancel(other, reason=text)
    bench.fold()
    operator.post("/jobs/many/redrive", tag=text, error="NoSuch")
    return id
