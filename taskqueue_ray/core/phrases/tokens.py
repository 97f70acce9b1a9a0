"""A text as tokens, and a reader that looks ahead."""

import re
from typing import Literal, NamedTuple, NoReturn

Kind = Literal[
    "moment", "slashed", "date", "clock", "past", "ordinal", "number", "half", "word", "mark",
    "other", "end",
]  # fmt: skip

_SHAPES: tuple[tuple[Kind, str], ...] = (
    ("moment", r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d(?:[.]\d+)?)?(?:z|[+-]\d\d:?\d\d)?"),
    ("slashed", r"\d{1,4}[/.]\d{1,2}[/.]\d{1,4}"),
    ("date", r"\d{4}-\d\d-\d\d"),
    ("clock", r"\d{1,2}:\d\d(?::\d\d)?"),
    ("past", r":\d\d(?!\d)"),
    ("ordinal", r"\d+(?:st|nd|rd|th)(?![a-z])"),
    ("number", r"\d+(?:[.]\d+)?"),
    ("half", r"[ap][.]?m(?![a-z])[.]?"),
    ("word", r"[a-z]+(?:'[a-z]+)?[.]?"),
    ("mark", r"[,&-]"),
    ("other", r"\S"),
)
_TOKEN = re.compile(
    "|".join(f"(?P<{kind}>{shape})" for kind, shape in _SHAPES), re.ASCII | re.IGNORECASE
)


class Token(NamedTuple):
    """One token in lower case, and where it stands in the text."""

    kind: Kind
    text: str
    start: int
    end: int


class Unclear(Exception):
    """A part of the text that is not understood, or ambiguous; `instead` says what would do."""

    def __init__(
        self, start: int, end: int, why: str, instead: tuple[str, ...], *, ambiguous: bool
    ) -> None:
        super().__init__(why)
        self.start, self.end, self.why = start, end, why
        self.instead, self.ambiguous = instead, ambiguous


def tokens(text: str) -> list[Token]:
    """The tokens, and an end."""
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind: Kind = match.lastgroup  # type: ignore[assignment]  # one of the groups above
        token = match[0].lower()
        if kind in ("word", "half"):
            token = token.replace(".", "")
        found.append(Token(kind, token, match.start(), match.end()))
    if found and found[-1].text == ".":
        found.pop()
    return [*found, Token("end", "", len(text), len(text))]


class Reader:
    """The tokens not read yet."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens(text)
        self._at = 0

    def peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def next(self) -> Token:
        token = self.peek()
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def at_end(self) -> bool:
        return self.peek().kind == "end"

    def sees(self, *words: str, ahead: int = 0) -> bool:
        """Whether the token is one of these words or marks."""
        return self.peek(ahead).text in words and self.peek(ahead).kind in ("word", "mark")

    def take(self, *words: str) -> bool:
        """Reads the token if it is one of these words or marks."""
        if self.sees(*words):
            self.next()
            return True
        return False

    def mark(self) -> int:
        """Here, to come back to."""
        return self._at

    def back(self, mark: int) -> None:
        self._at = mark

    def separator(self) -> bool:
        """Reads a comma, an "and", or both, between members of a list."""
        comma = self.take(",")
        return self.take("and", "&") or comma

    def since(self, mark: int) -> tuple[int, int]:
        """The span of the text from there to here."""
        return self._tokens[mark].start, self._tokens[max(mark, self._at - 1)].end

    def instead(self, mark: int, words: str) -> str:
        """The whole text with other words for what was read since the mark."""
        start, end = self.since(mark)
        return f"{self.text[:start]}{words}{self.text[end:]}".strip()

    def refuse(self, why: str = "", *instead: str, mark: int | None = None) -> NoReturn:
        """This token, or all since the mark, means nothing here."""
        start, end = self._span(mark)
        raise Unclear(start, end, why, instead, ambiguous=False)

    def doubt(self, why: str, *instead: str, mark: int | None = None) -> NoReturn:
        """This token, or all since the mark, could mean several things."""
        start, end = self._span(mark)
        raise Unclear(start, end, why, instead, ambiguous=True)

    def _span(self, mark: int | None) -> tuple[int, int]:
        if mark is not None:
            return self.since(mark)
        # What is missing at the end is missing after the last word.
        token = self._tokens[max(self._at - 1, 0)] if self.at_end() else self.peek()
        return token.start, token.end
