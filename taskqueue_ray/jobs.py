"""Jobs that ship with the package: one to try a queue with, and the one behind `flow.map`."""

import os
import time

from taskqueue_ray.engine.context import current_or_none
from taskqueue_ray.engine.registry import registry
from taskqueue_ray.sdk.job import Job
from taskqueue_ray.sdk.mapping import MAP

# An executor finds it here, as whatever ships with the package.
registry.register(MAP)


class TestJob(Job):
    """Does as its payload says, in this order; without a payload it does nothing.

    `sleep` (seconds), `allocate` (MiB, for as long as it sleeps), `fail` (how many attempts fail),
    `exit` (ends its process with this code), and returns `echo`.

    >>> TestJob({"echo": "hello"}).handle()
    'hello'
    """

    __test__ = False  # the name looks like a test to pytest

    def handle(self) -> object:
        """Do it."""
        block = bytearray(int(self.payload.get("allocate", 0)) << 20)
        time.sleep(float(self.payload.get("sleep", 0)))
        del block
        self._fail_if_wanted()
        if "exit" in self.payload:
            os._exit(int(self.payload["exit"]))
        return self.payload.get("echo")

    def _fail_if_wanted(self) -> None:
        context = current_or_none()
        attempt = context.attempt if context else 1
        if attempt <= int(self.payload.get("fail", 0)):
            raise RuntimeError(f"attempt {attempt} was to fail")
