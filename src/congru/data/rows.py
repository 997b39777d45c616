"""Rows of a long table, from a file or a table object, as plain columns with their roles; nothing is dropped or repaired here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.columns import ROLES, Categories, Columns
from congru.data.row_table import open_table, real_names
from congru.data.row_values import covariates_of, ids_of, time_type, times_of, values_of
from congru.data.times import Moments


@dataclass(frozen=True)
class Rows:
    """R rows as they were read. A value that could not be read is NaT or NaN; `text` tells what stood there."""

    source: str
    """What messages call the table: the file's name or "table"."""
    kind: str
    """Where it came from: "csv", "pandas", "polars" or "pyarrow"."""
    columns: Columns
    """The columns by their real names."""
    numbers: NDArray[np.int64]
    """[R] line number in the file, or position in the table."""
    unique_id: list[Any] | None
    """[R] series names, None where one is missing; None where the table has no such column: one series."""
    moments: Moments
    """[R]"""
    y: NDArray[np.float64] | None
    """[R]; None where the table has no such column."""
    missing: NDArray[np.bool_]
    """[R] True where y is empty, not wrong."""
    covariates: dict[str, dict[str, NDArray[np.float64]]]
    """Role -> name -> [R] numbers; a text column has one indicator per category, named column=category."""
    categories: dict[str, list[str]]
    types: dict[str, str]
    """"unique_id" and "ds" -> the type of the column."""
    text: dict[str, list[Any]]
    """Column -> what stood in each row, for messages."""
    unused: list[str]
    """Columns without a role."""
    notes: list[str] = field(default_factory=list)
    """What was recognised, in words."""


def read_rows(
    source: Any,
    columns: Columns,
    *,
    target: bool = True,
    date_format: str = "",
    categories: Categories | None = None,
) -> Rows:
    """The rows of a file or of a pandas, polars or pyarrow table.

    `target` False: the column `y` may be absent. `categories`: those of an earlier table, where text columns are to
    be read the same way. Raises :class:`DataError` for a file that is missing, empty or not UTF-8, for a missing
    column and for a column that cannot have its role.
    """
    table = open_table(source, columns)
    columns = real_names(table, columns, target)
    moments = times_of(table, columns, date_format)
    names, id_type = ids_of(table, columns)
    y = missing = None
    if columns.y in table.names:
        y, missing = values_of(table, columns.y)
    covariates, text_categories = covariates_of(table, columns, categories)
    used = {columns.unique_id, columns.ds, columns.y, *columns.ignore}
    used.update(name for role in ROLES for name in columns.of_role(role))
    return Rows(
        source=table.source,
        kind=table.kind,
        columns=columns,
        numbers=table.numbers,
        unique_id=names,
        moments=moments,
        y=y,
        missing=missing if missing is not None else np.zeros(len(table.numbers), bool),
        covariates=covariates,
        categories=text_categories,
        types={"unique_id": id_type, "ds": time_type(table, columns, moments)},
        text=table.text,
        unused=[name for name in table.names if name not in used],
        notes=table.notes,
    )
