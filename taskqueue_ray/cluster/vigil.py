"""Noticing that a cluster that belongs to another program has ended.

Calls to its actors would hang then, and Ray ends a process whose cluster has been gone for a
minute. So the process leaves the cluster, and can connect anew.
"""

import logging
import socket
import threading

import ray

from taskqueue_ray.cluster import handles

LOOK = 0.5
"""Seconds between two looks."""

MISSES = 4
"""Looks in a row that find nothing before the cluster counts as ended."""

KNOCK = 3.0
"""Seconds within which a cluster accepts a connection."""

log = logging.getLogger(__name__)


def answers(address: str) -> bool:
    """Whether a cluster's control service accepts connections at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=KNOCK).close()
    except (OSError, ValueError):
        return False
    return True


class Vigil:
    """Watches a cluster; when it has ended, the queue's calls raise `QueueClosed`."""

    def __init__(self, address: str, queue: handles.QueueHandle) -> None:
        self._address = address
        self._queue = queue
        self._missed = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taskqueue-vigil", daemon=True)
        queue.expect_end()
        self._thread.start()

    def end(self) -> None:
        """Watch no longer."""
        self._over.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def tick(self) -> bool:
        """One look; whether the cluster counts as ended."""
        self._missed = 0 if answers(self._address) else self._missed + 1
        return self._missed >= MISSES

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            if self.tick():
                log.warning("the program that had the queue has ended, and its cluster with it")
                self._queue.abandon("the program that it lived in has ended")
                self._over.wait(2 * handles.LOOK)  # until calls have noticed
                ray.shutdown()
                return
