"""Runs a command beside a cluster that a script of `machines/` makes in namespaces of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cluster import processes

ROOT = Path(__file__).parents[2]
MACHINES = ROOT / "tests" / "cluster" / "machines"
BIN = Path(sys.executable).parent


def skip_without(*programs: str) -> None:
    """Skip a test where namespaces, or programs that it needs, cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("namespaces of its own need root")
    for program in ("unshare", *programs):
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
            pytest.skip(f"{program} is not installed")
    if subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"]).returncode:
        pytest.skip("this container gives no namespaces")


def run(script: str, *command: str, within: float) -> str:
    """What the command printed. Nothing of it may be left, no process and no mount."""
    mark = f"{os.environ[processes.RUN]}-{script}"
    mounts = Path("/proc/mounts").read_text()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TASKQUEUE_"))}
    done = subprocess.run(
        ["bash", str(MACHINES / script), str(ROOT), str(BIN), *command],
        env={**kept, processes.PROGRAM: mark}, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE, text=True, errors="replace", timeout=within, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    _, left = psutil.wait_procs(processes.ours(processes.PROGRAM, mark), 10.0)
    assert not left, f"processes are left: {left}"
    assert Path("/proc/mounts").read_text() == mounts
    return done.stdout
