"""Lists of records, which print as tables in terminals and notebooks."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from taskqueue_ray.sdk.records import JobRecord, QueueRecord

SHOWN = 20
_WIDEST = 48


class HasRow(Protocol):
    """Something that a table can show."""

    def row(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=HasRow)


class RecordList(Sequence[T], Generic[T]):
    """Records in order. Prints as a table; `.to_pandas()` gives a frame of the same columns."""

    def __init__(self, records: Iterable[T]) -> None:
        self._records = list(records)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> "list[T]": ...

    def __getitem__(self, index: int | slice) -> "T | list[T]":
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[T]:
        return iter(self._records)

    def rows(self) -> list[dict[str, Any]]:
        """The records as plain rows."""
        return [record.row() for record in self._records]

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`. Needs pandas: `pip install taskqueue-ray[pandas]`."""
        import pandas

        return pandas.DataFrame(self.rows())

    def __repr__(self) -> str:
        return text_table(self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.rows())


class JobList(RecordList["JobRecord"]):
    """Jobs. `complete` is False when the limit cut the list."""

    def __init__(self, records: "Iterable[JobRecord]", complete: bool = True) -> None:
        super().__init__(records)
        self.complete = complete

    @property
    def ids(self) -> list[str]:
        """The ids, in order."""
        return [record.id for record in self]

    def to_arrow(self) -> Any:
        """A `pyarrow.Table` in the schema of the history, sealed parts sealed."""
        from taskqueue_ray.storage.history import to_table

        return to_table([record.view for record in self])


class StatsList(RecordList["QueueRecord"]):
    """Counts of queues; `q.stats()["mail"]` is not a thing, `.of("mail")` is."""

    def of(self, queue: str) -> "QueueRecord | None":
        """The counts of one queue."""
        return next((record for record in self if record.queue == queue), None)

    @property
    def total(self) -> int:
        """Jobs in all queues."""
        return sum(record.total for record in self)


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A plain table with the columns that have anything in them.

    >>> print(text_table([{"queue": "mail", "total": 3, "name": None}]))
    queue  total
    mail   3
    """
    if not rows:
        return "(none)"
    columns = _columns(rows)
    shown = [columns, *([_cell(row[name]) for name in columns] for row in rows[:SHOWN])]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in shown
    ]
    return "\n".join(lines + _more(rows))


def html_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same for notebooks. Every text is escaped: it may be anybody's."""
    if not rows:
        return "<em>none</em>"
    columns = _columns(rows)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(row[name]))}</td>" for name in columns) + "</tr>"
        for row in rows[:SHOWN]
    )
    tail = "".join(f"<p>{html.escape(line)}</p>" for line in _more(rows))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{tail}"


def fields_text(fields: Mapping[str, Any]) -> str:
    """One record, a field a line."""
    width = max(map(len, fields))
    shown = {name: _text(value) for name, value in fields.items()}
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in shown.items() if text)


def fields_html(fields: Mapping[str, Any]) -> str:
    """One record for notebooks."""
    shown = {name: _text(value) for name, value in fields.items()}
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
        for name, text in shown.items()
        if text
    )
    return f"<table>{rows}</table>"


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        name
        for name in rows[0]
        if any(row[name] is not None and row[name] != [] for row in rows[:SHOWN])
    ]


def _more(rows: Sequence[object]) -> list[str]:
    return [f"… and {len(rows) - SHOWN:,} more"] if len(rows) > SHOWN else []


def _cell(value: object) -> str:
    text = _text(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case float():
            return f"{value:.3g}"
        case list() | tuple():
            return ", ".join(map(_text, value))
        case _:
            # Control characters of somebody's text must not drive a terminal.
            return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))
