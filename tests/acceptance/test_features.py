"""The table of what works cannot lie: each row names a page that is there and tests that run."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()
FEATURES: list[Any] = GENERATOR.features()


def test_the_readme_has_the_table() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = GENERATOR.feature_table()
    assert table in text, "run `make docs`"
    assert len(FEATURES) > 50
    assert all(f"| {feature.what} |" in table for feature in FEATURES)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.what)
def test_a_row_has_a_page_and_tests_that_run(feature: Any) -> None:
    assert (ROOT / feature.page).is_file(), feature.page
    assert feature.page.endswith(".md")
    assert feature.tests, "name a test that fails without it"
    for named in feature.tests:
        assert problem_of(named) is None, problem_of(named)


def test_no_row_is_there_twice() -> None:
    said = [feature.what for feature in FEATURES]
    assert len(set(said)) == len(said)
    for feature in FEATURES:
        assert len(set(feature.tests)) == len(feature.tests), feature.what


def problem_of(named: str) -> str | None:
    """What is wrong with a test that is named as `path::name`; None when it is there and runs."""
    path, _, name = named.partition("::")
    file = ROOT / path
    if not (path.startswith("tests/") and file.name.startswith("test_") and file.is_file()):
        return f"{named}: no such file of tests"
    found = _functions(file).get(name)
    if not name.startswith("test_") or found is None:
        return f"{named}: the file has no such test"
    if any(word in ast.unparse(mark) for mark in found.decorator_list for word in _NOT_RUN):
        return f"{named}: it is skipped, or may fail"
    return None


_NOT_RUN = ("mark.skip", "mark.xfail")


def _functions(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(
    "named",
    [
        "tests/acceptance/test_features.py",
        "tests/acceptance/test_features.py::problem_of",
        "tests/acceptance/test_features.py::test_of_nothing",
        "tests/acceptance/no_such.py::test_of_nothing",
        "docs/generate.py::features",
    ],
)
def test_what_is_no_test_is_found(named: str) -> None:
    assert problem_of(named) is not None
