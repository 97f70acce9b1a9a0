"""A phrase, what was read from it, and the present in its zone."""

from datetime import date
from typing import NamedTuple, NoReturn

from taskqueue_ray.core.phrases.draft import Draft
from taskqueue_ray.core.phrases.times import shown
from taskqueue_ray.core.phrases.tokens import Unclear
from taskqueue_ray.core.wording import listed


class Asked(NamedTuple):
    """What is to become a rule."""

    draft: Draft
    text: str
    tz: str
    now: float

    @property
    def today(self) -> date:
        return self.draft.today

    @property
    def at(self) -> str:
        """The times that were said, as the end of a phrase; empty when none were."""
        times = self.draft.times
        return f" at {listed(map(shown, sorted(times)))}" if times else ""

    def refuse(self, why: str, *instead: str) -> NoReturn:
        """The phrase as a whole means nothing here."""
        raise Unclear(0, len(self.text), why, instead, ambiguous=False)

    def doubt(self, why: str, *instead: str) -> NoReturn:
        """The phrase as a whole could mean several things."""
        raise Unclear(0, len(self.text), why, instead, ambiguous=True)
