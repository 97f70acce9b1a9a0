"""Finished jobs as a table: the Parquet history, and what is not in it yet."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

_TIMES = ("enqueued_at", "started_at", "finished_at")


class History:
    """What ended since a time, read when it is asked for. One row for a job: its last end.

    Payloads and results are sealed in it; `q.job(id)` opens them.
    """

    def __init__(self, read: "Callable[[], pyarrow.Table]") -> None:
        self._read = read

    def to_arrow(self) -> "pyarrow.Table":
        """A `pyarrow.Table`."""
        return self._read()

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`. Needs pandas: `pip install taskqueue-ray[pandas]`."""
        return self._read().to_pandas()

    def sql(self, query: str) -> Any:
        """A DuckDB relation over the table `history`. Needs `pip install taskqueue-ray[sql]`.

        >>> q.history().sql("select state, count(*) from history group by state")  # doctest: +SKIP
        """
        import duckdb

        connection = duckdb.connect()
        connection.register("history", self._read())
        return connection.sql(query)

    def to_csv(self) -> bytes:
        """CSV with a header; payloads and results, which are sealed, are left out."""
        from taskqueue_ray.storage.exports import to_csv

        return to_csv(self._read())

    def to_parquet(self) -> bytes:
        """One Parquet file with all columns."""
        from taskqueue_ray.storage.exports import to_parquet

        return to_parquet(self._read())

    def __len__(self) -> int:
        rows: int = self._read().num_rows
        return rows

    def _repr_html_(self) -> str:
        html: str = self.to_pandas()._repr_html_()
        return html
