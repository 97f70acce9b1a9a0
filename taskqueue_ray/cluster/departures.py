"""Workers that have left by themselves: their node was drained, or their actor is no more."""

from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError


class Departures:
    """Watches worker actors, by name. `left` costs one look at what Ray has already told."""

    def __init__(self) -> None:
        self._watched: dict[str, tuple[Any, Any]] = {}

    def watch(self, name: str, actor: Any) -> None:
        """Look after one more."""
        self._watched[name] = (actor, actor.watch.remote())

    def forget(self, name: str) -> None:
        """Look after it no more."""
        self._watched.pop(name, None)

    def left(self) -> list[str]:
        """Those that have left, or died for good, since the last look."""
        if not self._watched:
            return []
        refs = {ref: name for name, (_, ref) in self._watched.items()}
        done, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0)
        gone = [refs[ref] for ref in done if self._is_gone(refs[ref], ref)]
        for name in gone:
            self.forget(name)
        return gone

    def _is_gone(self, name: str, ref: Any) -> bool:
        try:
            ray.get(ref, timeout=1.0)
        except ActorDiedError:
            return True
        except RayError:
            # Its process ended and Ray starts it anew: it is watched as what it will be.
            self.watch(name, self._watched[name][0])
            return False
        return True
