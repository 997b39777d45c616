"""Batches of rows that stand alone, such as texts: the columns stay, the answers come beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from congru.errors import DataError, require

Columns = Mapping[str, Sequence[Any]]


class RowAnswers:
    """Rows with a column ``source`` -> the same rows with one column more for each answer.

    Args:
        source: the column that is read.
        types: name -> type of each answer, as pyarrow spells it: "string", "float64", "int64".
        answer: from the values of the column, none of them empty, to the answers by name.
    """

    key: str | None = None

    def __init__(self, source: str, types: Mapping[str, str], answer: Callable[[list[Any]], Columns]) -> None:
        self._source, self._types, self._answer = source, types, answer

    def __call__(self, table: Any) -> Any:
        """The rows with their answers; a row without a value has empty ones."""
        pa = require("pyarrow", "forecast")
        self._check(table.column_names)
        values = table.column(self._source).to_pylist()
        filled = [row for row, value in enumerate(values) if value is not None and str(value).strip()]
        answers = self._answer([values[row] for row in filled]) if filled else {}
        for name, kind in self._types.items():
            column: list[Any] = [None] * len(values)
            for row, answer in zip(filled, answers.get(name, ())):
                column[row] = answer
            table = table.append_column(name, pa.array(column, pa.type_for_alias(kind)))
        return table

    def schema(self, schema: Any) -> Any:
        """The columns of the rows, then the answers."""
        pa = require("pyarrow", "forecast")
        self._check(schema.names)
        fields = [schema.field(name) for name in schema.names]
        return pa.schema(
            [*fields, *(pa.field(name, pa.type_for_alias(kind)) for name, kind in self._types.items())]
        )

    def _check(self, names: Sequence[str]) -> None:
        if self._source not in names:
            raise DataError(
                f"the data has columns {', '.join(names)}, expected {self._source!r} among them: rename one"
            )
        taken = [name for name in self._types if name in names]
        if taken:
            raise DataError(
                f"the data has a column {taken[0]!r} already, expected that name free for the answer: rename the column"
            )
