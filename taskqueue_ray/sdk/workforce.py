"""Workers that a program starts for itself, and that end with it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from taskqueue_ray.core.errors import InvalidRequest
from taskqueue_ray.core.pool import Pool, Terms
from taskqueue_ray.core.settings import MIB, Settings
from taskqueue_ray.engine.registry import registry

if TYPE_CHECKING:
    from taskqueue_ray.cluster.attached import AttachedWorkers
    from taskqueue_ray.cluster.handles import QueueHandle


COOL_DOWN = 5.0
"""Seconds for which workers of a program that are not needed stay."""


class Workforce:
    """A block with workers in it. At its end they finish what runs and give back the rest."""

    def __init__(
        self,
        queue: "QueueHandle",
        settings: Settings,
        queues: Sequence[str],
        *,
        min: int,
        max: int,
        concurrency: int | None,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._queues = tuple(queues)
        self._bounds = (min, max)
        self._concurrency = concurrency or settings.concurrency
        self._workers: AttachedWorkers | None = None

    @property
    def names(self) -> list[str]:
        """The Ray names of the workers that run now."""
        return self._workers.names if self._workers else []

    def start(self) -> "Workforce":
        """Start them and wait until the first are ready. Raises `Unavailable`."""
        from taskqueue_ray.cluster.attached import AttachedWorkers

        if self._workers is not None:
            raise InvalidRequest("these workers were started already")
        least, most = self._bounds
        pool = Pool(
            name="attached",
            queues=self._queues,
            minimum=least,
            maximum=most,
            concurrency=self._concurrency,
            cool_down=COOL_DOWN,
            terms=terms_of(self._settings),
        )
        self._workers = AttachedWorkers(self._queue, pool)
        self._workers.start()
        return self

    def drain(self, timeout: float = 30.0) -> bool:
        """Let running jobs end, for at most `timeout` seconds; True if all ended."""
        if self._workers is None:
            return True
        try:
            return self._workers.drain(timeout)
        finally:
            self._workers = None

    def give_back(self) -> None:
        """Stop what runs and give it back, no attempt counted; ends a `drain` of another thread."""
        if self._workers is not None:
            self._workers.give_back()

    def kill(self) -> None:
        """End them at once; the queue takes their jobs back."""
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.kill()

    def __enter__(self) -> "Workforce":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drain()


def terms_of(settings: Settings) -> Terms:
    """How workers run jobs, by these settings and what this program has of jobs."""
    return Terms(
        app=tuple(dict.fromkeys((*settings.app, *registry.modules))),
        import_paths=import_paths(),
        timeout=settings.timeout,
        memory_limit=settings.memory_limit and settings.memory_limit * MIB,
        max_jobs=settings.max_jobs,
        max_age=settings.max_age,
        key_file=settings.key_file,
        max_result=settings.max_payload,
        inline=settings.inline_payload,
        max_batch=settings.max_batch,
        log_level=settings.log_level,
        log_format=settings.log_format,
        cancel_grace=settings.cancel_grace,
    )


def import_paths() -> tuple[str, ...]:
    """Where this program finds its modules, for executors to look in the same places."""
    return tuple(str(Path(entry or ".").resolve()) for entry in sys.path if _is_folder(entry))


def _is_folder(entry: str) -> bool:
    return Path(entry or ".").is_dir()
