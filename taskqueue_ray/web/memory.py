"""Answers kept for a moment, so that many browsers on one page cost the queue one question."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
MOMENT = 1.0
MAX_KEPT = 256


class _Answer:
    __slots__ = ("at", "lock", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at = float("-inf")
        self.value: Any = None


class Memory:
    """Asks once for all who want to know the same within some seconds. Safe among threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, key: Hashable, ask: Callable[[], T], seconds: float = MOMENT) -> T:
        """What was answered lately, or what `ask` gives now. An error is not kept."""
        with self._lock:
            answer = self._answers.setdefault(key, _Answer())
            self._answers.move_to_end(key)
            while len(self._answers) > MAX_KEPT:
                self._answers.popitem(last=False)
        with answer.lock:
            if self._clock() - answer.at >= seconds:
                answer.value = ask()
                answer.at = self._clock()
            found: T = answer.value
            return found

    def forget(self) -> None:
        """Somebody has changed something: ask anew."""
        with self._lock:
            self._answers.clear()
