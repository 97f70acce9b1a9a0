"""Space that is kept aside so that a full disk does not stop the recording of outcomes."""

import threading
from collections.abc import Callable
from typing import TypeVar

from taskqueue_ray.core.errors import StorageFull
from taskqueue_ray.storage.atomic import write_new
from taskqueue_ray.storage.filesystem import NO_SPACE, FileSystem

_NAME = "BALLAST"

Result = TypeVar("Result")


class Ballast:
    """A file of reserved space, to be let go when a write finds no other.

    Any thread may call any method.
    """

    def __init__(self, fs: FileSystem, size: int) -> None:
        self._fs = fs
        self._size = size
        self._mutex = threading.Lock()
        self._held = False

    @property
    def held(self) -> bool:
        """Whether the space is set aside now."""
        return self._held or self._size == 0

    def fill(self) -> bool:
        """Set the space aside if it is not; False when the disk has no room for it.

        Other `OSError`s are raised.
        """
        with self._mutex:
            if not self.held:
                self._held = self._fs.exists(_NAME) or self._reserve()
            return self.held

    def release(self) -> bool:
        """Let the space go; False when there was none to let go."""
        with self._mutex:
            self._held = False
            if not self._fs.exists(_NAME):
                return False
            self._fs.remove(_NAME)
            # Some file systems free blocks only once the removal is durable.
            self._fs.sync_directory("")
            return True

    def making_room(self, action: Callable[[], Result]) -> Result:
        """Do something small that must not fail for lack of space: let go and repeat if it does.

        `StorageFull` when even that was not enough.
        """
        for last in (False, True):
            try:
                return action()
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                if last or not self.release():
                    break
        raise StorageFull(str(self._fs))

    def _reserve(self) -> bool:
        try:
            write_new(self._fs, _NAME, b"", self._size).close()
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            return False
        return True
