"""The way of one batch of a pipeline to the disk."""

import threading
from concurrent.futures import TimeoutError as FutureTimeout


class Delivery:
    """Shared by the handles of a batch: set once, when the batch is durable or refused."""

    __slots__ = ("_error", "_event")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: BaseException | None = None

    @property
    def durable(self) -> bool:
        """Whether the batch is stored."""
        return self._event.is_set() and self._error is None

    def finish(self, error: BaseException | None = None) -> None:
        """The queue has answered."""
        self._error = error
        self._event.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for it. Raises what refused the batch, or `TimeoutError`."""
        if not self._event.wait(seconds):
            raise FutureTimeout
        if self._error is not None:
            raise self._error
