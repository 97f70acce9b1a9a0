"""A table of the history for others: counted by time, as CSV, as Parquet."""

import io

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

_SEALED = ("payload", "result", "record")
_FORMULA = r"^([=+\-@\t\r])"
"""What makes a spreadsheet take a cell for a formula."""


def tally(table: pa.Table, every: float) -> list[tuple[float, str, int]]:
    """How many rows ended in which state, by spans of `every` seconds."""
    if table.num_rows == 0:
        return []
    span = int(every * 1e6)
    moments = pc.cast(table["finished_at"], pa.int64())
    starts = pc.multiply(pc.divide(moments, span), span)
    counts = pa.table({"at": starts, "state": table["state"]})
    counts = counts.group_by(["at", "state"]).aggregate([([], "count_all")]).sort_by("at")
    columns = (counts[name].to_pylist() for name in ("at", "state", "count_all"))
    return [(at / 1e6, state, count) for at, state, count in zip(*columns, strict=True)]


def to_csv(table: pa.Table) -> bytes:
    """The rows as CSV with a header, what is sealed left out, tags joined by spaces.

    Text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    columns = {name: _cells(table[name]) for name in table.column_names if name not in _SEALED}
    sink = io.BytesIO()
    csv.write_csv(pa.table(columns), sink)
    return sink.getvalue()


def to_parquet(table: pa.Table) -> bytes:
    """The rows as one Parquet file, what is sealed sealed."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_list(column.type):
        column = pa.array([" ".join(row or ()) for row in column.to_pylist()], pa.string())
    if pa.types.is_string(column.type):
        return pc.replace_substring_regex(column, _FORMULA, r"'\1")
    return column
