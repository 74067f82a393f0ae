"""A table of an output folder, read when it is asked for: whole, or lazily with Dask, polars or DuckDB."""

import html
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from lo2dask.errors import InputError
from lo2dask.storage import source_of

if TYPE_CHECKING:
    import pandas as pd

LIBRARIES = ("dask", "polars", "duckdb", "arrow")
_ROWS_SHOWN = 10


@dataclass(frozen=True, repr=False)
class Table:
    """A table: ``paths`` are its parts, in order. Nothing is read before a method asks for it.

    Arrow, polars, DuckDB and pandas take it as it is, too: ``polars.from_arrow(table)``, ``pyarrow.table(table)``.
    """

    name: str
    paths: tuple[Path, ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types."""
        return pq.read_schema(source_of(self.paths[0]))

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        names: list[str] = self.schema.names
        return names

    def __len__(self) -> int:
        """Count the rows, from the files' metadata."""
        return sum(pq.read_metadata(source_of(path)).num_rows for path in self.paths)

    def to_arrow(self, columns: Sequence[str] | None = None, filter: Any = None) -> pa.Table:
        """Read the table, or some columns and the rows that a pyarrow.compute expression keeps, into memory.

        Raises
        ------
        InputError : there is no such column; lists those there are.
        """
        names = None if columns is None else [columns] if isinstance(columns, str) else list(columns)
        unknown = [name for name in names or () if name not in self.column_names]
        if unknown:
            raise InputError(f"columns: {self.name} has no {unknown[0]!r}; there are {', '.join(self.column_names)}")
        return self.scan("arrow").to_table(columns=names, filter=filter)

    def to_pandas(self, columns: Sequence[str] | None = None, filter: Any = None) -> "pd.DataFrame":
        """Read the table into a pandas dataframe (see :meth:`to_arrow`)."""
        return self.to_arrow(columns, filter).to_pandas()

    def to_polars(self, columns: Sequence[str] | None = None, filter: Any = None) -> Any:
        """Read the table into a polars dataframe (see :meth:`to_arrow`)."""
        return _need("polars").from_arrow(self.to_arrow(columns, filter))

    def scan(self, library: str = "dask") -> Any:
        """Return the table without reading it, to be worked on out of core.

        Parameters
        ----------
        library : "dask" (a dataframe), "polars" (a LazyFrame), "duckdb" (a relation) or "arrow" (a dataset).

        Raises
        ------
        InputError : another name, or the library is not installed.
        """
        if library not in LIBRARIES:
            raise InputError(f"library={library!r} is not known; use {', '.join(LIBRARIES)}")
        names = [str(path) for path in self.paths]
        if library == "dask":
            return _need("dask.dataframe").read_parquet(names)
        if library == "polars":
            return _need("polars").scan_parquet(names)
        if library == "duckdb":
            return _need("duckdb").read_parquet(names)
        return ds.dataset([ds.dataset(source_of(path), format="parquet") for path in self.paths])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Give the table to another library (Arrow's C interface)."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """Name the table, its rows and columns."""
        return f"<{self.name}: {len(self):,} rows, columns {', '.join(self.column_names)}>"

    def _repr_html_(self) -> str:
        """Show the first rows in a notebook."""
        first = self.scan("arrow").head(_ROWS_SHOWN).to_pandas().to_html(index=False, max_cols=20)
        return f"<p>{html.escape(self.name)}: {len(self):,} rows</p>{first}"


def _need(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        package = library.partition(".")[0]
        raise InputError(f"{package} is not installed: pip install {package}") from error
