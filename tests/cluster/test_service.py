"""The systemd unit's command line, run for real: it serves, and SIGTERM ends it and its Ray."""

import configparser
import json
import shlex
import signal
from pathlib import Path

import pytest

from tests.cluster import processes
from tests.cluster.patience import eventually
from tests.cluster.programs import Program, Programs

UNIT = Path(__file__).parents[2] / "examples" / "clusters" / "taskqueue.service"

MY_JOBS = """
import time
from pathlib import Path

import taskqueue_ray as tq


@tq.job
def greet(name: str) -> str:
    return f"Hello, {name}"


@tq.job
def wait(started: Path, gate: Path) -> str:
    started.touch()
    while not gate.exists():
        time.sleep(0.01)
    return "done"
"""


def unit() -> tuple[list[str], dict[str, str]]:
    """What it runs, and the variables that are not about this machine's paths."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(UNIT, encoding="utf-8")
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    variables = dict(line.split("=", 2)[1:] for line in lines if line.startswith("Environment="))
    command = shlex.split(parser["Service"]["ExecStart"])[1:]
    return command, {k: v for k, v in variables.items() if not v.startswith("/")}


class Machine:
    """A service and the shells beside it: one home, one storage, one key."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self.command, self._variables = unit()
        self._variables["HOME"] = str(programs.base / "home")
        (programs.base / "home").mkdir()
        (programs.base / "my_jobs.py").write_text(MY_JOBS)
        programs.key_file.write_text("0123456789abcdef" * 4)
        programs.key_file.chmod(0o600)

    def taskqueue(self, *words: str) -> Program:
        """Run a command."""
        code = f"import sys\nfrom taskqueue_ray.cli.app import main\nsys.argv[1:] = {words!r}\n"
        return self._programs.start(f"{code}sys.exit(main())\n", **self._variables)

    def enqueued(self, *words: str) -> dict[str, str]:
        """What `enqueue --json` prints."""
        text = self.taskqueue("enqueue", *words, "--json").succeeds()
        answer: dict[str, str] = json.loads(text[text.index("{") :])
        return answer


@pytest.mark.timeout(180)
def test_the_unit_serves_and_sigterm_ends_it_and_its_ray(programs: Programs) -> None:
    machine = Machine(programs)
    assert machine.command[0] == "up"
    service = machine.taskqueue(*machine.command)
    service.says("serving")
    assert machine.enqueued("my_jobs:greet", "-a", "name=Ada", "--wait", "60s")["result"] == (
        "Hello, Ada"
    )
    started, gate = programs.base / "started", programs.base / "gate"
    running = machine.enqueued("my_jobs:wait", "-a", f"started={started}", "-a", f"gate={gate}")
    eventually(started.exists, "it runs")
    processes.kill(service.pid, signal.SIGTERM)
    service.says("draining")
    gate.touch()
    assert service.ends() == 0, service.text()
    eventually(lambda: not service.family(), "its Ray ends with it")
    shown = machine.taskqueue("jobs", "show", running["id"]).succeeds()
    assert "completed" in shown, "what ran was let finish"
