"""Who did what, and when: one JSON line for each action, in a file and at hand for the page."""

import json
import logging
import os
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger(__name__)
KEPT = 500


class Action(NamedTuple):
    """One thing that somebody did. `target` is what it was done to, `outcome` what came of it."""

    at: datetime
    who: str
    address: str
    verb: str
    target: str
    outcome: str

    def row(self) -> dict[str, Any]:
        """As it is written."""
        return {**self._asdict(), "at": self.at.isoformat()}


class Audit:
    """The record of actions. A file that cannot be written is said in the log, once for each."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._latest: deque[Action] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._latest.extend(_tail(path))

    @property
    def path(self) -> Path | None:
        """Where it is written."""
        return self._path

    def latest(self) -> list[Action]:
        """The latest actions, the last first."""
        with self._lock:
            return list(reversed(self._latest))

    def record(
        self, at: float, who: str, address: str, verb: str, target: str, outcome: str
    ) -> None:
        """Somebody did something."""
        moment = datetime.fromtimestamp(at, UTC)
        action = Action(moment, who, address, verb, target[:500], outcome[:500])
        log.info("%s by %s: %s %s", verb, who, ascii(target[:200]), ascii(outcome[:200]))
        with self._lock:
            self._latest.append(action)
            if self._path is not None:
                self._write(self._path, action)

    def _write(self, path: Path, action: Action) -> None:
        line = json.dumps(action.row(), ensure_ascii=True) + "\n"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "ab") as file:
                file.write(line.encode())
        except OSError as error:
            log.error("the audit file cannot be written: %s", error)


def _tail(path: Path) -> list[Action]:
    """The last actions of an earlier run, as far as they can be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 256 * 1024))
            lines = file.read().splitlines()
    except OSError:
        return []
    found = (_action_of(line) for line in lines[-KEPT:])
    return [action for action in found if action is not None]


def _action_of(line: bytes) -> Action | None:
    try:
        row = json.loads(line)
        at = datetime.fromisoformat(row["at"])
        return Action(at, *(str(row[name]) for name in Action._fields[1:]))
    except (ValueError, KeyError, TypeError):
        return None  # cut in the middle, or somebody else's
