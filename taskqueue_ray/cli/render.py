"""How the command line shows things: tables, times, JSON. Everybody's text is shown escaped."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 200
"""Columns of output that goes into a file or a pipe."""

_WIDEST = 60
_STYLES = {
    "completed": "green", "failed": "red", "processing": "cyan", "pending": "yellow",
    "cancelled": "magenta", "expired": "magenta",
}  # fmt: skip


def console(stderr: bool = False) -> Console:
    """Where output goes now. Colours only in a terminal, and never with NO_COLOR."""
    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, width=wide, highlight=False, emoji=False, markup=False)


def say(text: str = "", style: str = "") -> None:
    """One line for people."""
    console().print(Text(text, style), soft_wrap=True)


def warn(text: str) -> None:
    """One line on stderr."""
    console(stderr=True).print(Text(text, "yellow"), soft_wrap=True)


def complain(text: str) -> None:
    """Why a command failed, in one line on stderr."""
    line = Text.assemble(("error: ", "bold red"), clean(text))
    console(stderr=True).print(line, soft_wrap=True)


def print_json(value: Any) -> None:
    """A JSON document on stdout."""
    print(json.dumps(value, default=plain, ensure_ascii=False, indent=2))


def plain(value: Any) -> Any:
    """What JSON has no form for: times as ISO 8601, the rest as text."""
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case bytes():
            return value.hex()
        case set() | frozenset():
            return sorted(value)
        case _:
            return str(value)


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Iterable[str],
    *,
    empty: str,
    right: Iterable[str] = (),
) -> None:
    """Rows of records, only the columns in which there is something."""
    if not rows:
        say(empty)
        return
    console().print(table(rows, columns, right=right))


def table(
    rows: Sequence[Mapping[str, Any]], columns: Iterable[str], *, right: Iterable[str] = ()
) -> Table:
    """The same as a rich table."""
    shown = [c for c in columns if any(row.get(c) not in (None, "", [], ()) for row in rows)]
    made = Table(box=None, pad_edge=False, header_style="bold")
    numbers = set(right)
    for name in shown:
        made.add_column(
            name.replace("_", " "),
            justify="right" if name in numbers else "left",
            no_wrap=name in ("id", "state"),
            overflow="ellipsis",
        )
    for row in rows:
        made.add_row(*(_cell(name, row.get(name)) for name in shown))
    return made


def print_fields(fields: Mapping[str, Any]) -> None:
    """One record, a field a line; fields without a value are left out."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in (None, "", [], (), {}):
            made.add_row(name.replace("_", " "), Text(clean(text_of(value, full=True), lines=True)))
    console().print(made)


def clean(text: str, *, lines: bool = False) -> str:
    """Text without characters that would drive a terminal."""
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


def text_of(value: Any, *, full: bool = False) -> str:
    """A value as people read it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime() if full:
            return f"{value:%Y-%m-%d %H:%M:%S} UTC ({ago(value)})"
        case datetime():
            return ago(value)
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.3g}"
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return ", ".join(value)
        case dict() | list() | tuple():
            return json.dumps(value, default=plain, ensure_ascii=False)
        case _:
            return str(value)


def ago(moment: datetime) -> str:
    """How long ago, or in how long.

    >>> from datetime import timedelta
    >>> ago(datetime.now(UTC) - timedelta(minutes=3, seconds=2))
    '3 min ago'
    """
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def duration(seconds: float) -> str:
    """A length of time, in its largest unit."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def size(count: float) -> str:
    """Bytes, in their largest unit."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _cell(name: str, value: Any) -> Text:
    text = clean(text_of(value))
    if len(text) > _WIDEST:
        text = text[: _WIDEST - 1] + "…"
    return Text(text, _STYLES.get(text, "") if name == "state" else "")
