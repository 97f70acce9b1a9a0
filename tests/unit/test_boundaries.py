"""Rules of the tree that import contracts cannot say."""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "taskqueue_ray"
HEAVY = ("ray", "pyarrow", "typer", "rich", "pandas", "duckdb")


def _loaded_by(*modules: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after it imported `modules`."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    return {name for name in done.stdout.split() if name in HEAVY}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert _loaded_by("taskqueue_ray") == set()


def test_the_sdk_loads_nothing_heavy() -> None:
    names = (f"taskqueue_ray.sdk.{file.stem}" for file in (PACKAGE / "sdk").glob("[!_]*.py"))
    assert _loaded_by(*names) == set()


def test_an_executor_loads_nothing_heavy() -> None:
    assert _loaded_by("taskqueue_ray.executor.child") == set()


def test_only_cluster_makes_remote_calls() -> None:
    outside = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if re.search(r"\.remote\(", file.read_text(encoding="utf-8"))
        and file.relative_to(PACKAGE).parts[0] not in {"cluster", "serve.py"}
    ]
    assert outside == []


def test_no_module_is_named_after_nothing() -> None:
    names = {file.stem for file in PACKAGE.rglob("*.py")}
    assert names.isdisjoint({"utils", "util", "common", "helpers", "helper", "base", "misc"})
