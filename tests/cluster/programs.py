"""Programs as users write them, run as processes of their own."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import psutil

from tests.cluster import processes
from tests.cluster.patience import eventually

ROOT = Path(__file__).parents[2]


class Program:
    """A running program, whose output can be waited for."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, mark: str) -> None:
        self.process = process
        self.output = output
        self._mark = mark

    @property
    def pid(self) -> int:
        return self.process.pid

    def text(self) -> str:
        """All that it has printed so far."""
        return self.output.read_text(errors="replace")

    def says(self, what: str, within: float = 90.0) -> str:
        """Wait until it has printed a line that begins so; the rest of that line."""

        def look() -> list[str]:
            found = [line for line in self.text().splitlines() if line.startswith(what)]
            if not found and self.process.poll() is not None:
                raise AssertionError(f"it ended before it said {what!r}:\n{self.text()}")
            return found

        try:
            return eventually(look, f"it says {what!r}", within)[0].removeprefix(what).strip()
        except AssertionError as problem:
            problem.add_note(self.text())
            raise

    def ends(self, within: float = 90.0) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(within)

    def succeeds(self, within: float = 90.0) -> str:
        """Wait for its good end; what it printed."""
        assert self.ends(within) == 0, self.text()
        return self.text()

    def kill(self) -> None:
        """`kill -9` of the program alone."""
        self.process.kill()
        self.process.wait(10.0)

    def family(self) -> list[psutil.Process]:
        """The program and all that it started, its Ray included."""
        return processes.ours(processes.PROGRAM, self._mark)

    def kill_all(self) -> None:
        """`kill -9` of the program and of its whole Ray."""
        while family := self.family():
            for process in family:
                process.kill()
            psutil.wait_procs(family, 10.0)
            self.process.poll()


class Programs:
    """Starts programs that share one home, key and storage."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "queue"
        self.key_file = base / "key"
        self.witness = base / "witness"
        self._running: list[Program] = []
        # Ray's sockets need a short path; and no other Ray of this machine is to be found there.
        self._ray = Path(tempfile.mkdtemp(prefix="tq-", dir="/tmp"))

    def start(self, code: str, **environment: str) -> Program:
        """Run a program. Its jobs may come from `tests.cluster.trial_jobs`."""
        number = len(self._running)
        file = self.base / f"program{number}.py"
        file.write_text(textwrap.dedent(code))
        output = self.base / f"program{number}.out"
        mark = f"{os.environ[processes.RUN]}-{self.base.name}-{number}"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-u", str(file), *self._arguments()],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment(), processes.PROGRAM: mark, **environment},
                cwd=self.base,
            )
        program = Program(process, output, mark)
        self._running.append(program)
        return program

    def leave(self) -> None:
        """End what still runs; then nothing of it may be left."""
        for program in self._running:
            if program.process.poll() is None:
                program.kill()
        family = [process for program in self._running for process in program.family()]
        _, left = psutil.wait_procs(family, 20.0)
        for process in left:
            process.kill()
        shutil.rmtree(self._ray, ignore_errors=True)
        assert not left, f"processes are left: {left}"
        eventually(lambda: processes.folder_is_free(self.folder), "the lock is free", within=20.0)

    def _arguments(self) -> list[str]:
        return [str(self.witness)]

    def _environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(ROOT),
            "TASKQUEUE_STORAGE": str(self.folder),
            "TASKQUEUE_KEY_FILE": str(self.key_file),
            "RAY_DEDUP_LOGS": "0",
            "RAY_TMPDIR": str(self._ray),
        }
