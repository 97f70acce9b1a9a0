"""What a process of Ray does before it runs jobs."""

import sys
from pathlib import Path

import pytest

from taskqueue_ray.cluster import ray_process


def test_a_module_that_hangs_or_fails_does_not_keep_the_others_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hanging_module.py").write_text("import threading; threading.Event().wait(100)")
    (tmp_path / "failing_module.py").write_text("raise LookupError('no licence')")
    (tmp_path / "working_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ray_process, "PRELOAD_PATIENCE", 0.2)
    ray_process._preload(("hanging_module", "failing_module", "working_module"))
    assert "working_module" in sys.modules
    assert "hanging_module cannot be imported: TimeoutError" in caplog.text
    assert "failing_module cannot be imported: LookupError('no licence')" in caplog.text
