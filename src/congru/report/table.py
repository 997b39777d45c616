"""Tables of results as text for a terminal and as HTML for a page: numbers aligned, the best of a column marked.

A cell is text, a number or None (empty). Whole numbers are written with thousands separators, others with a fixed
number of decimals. A column that holds numbers stands to the right, any other to the left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from congru.errors import SettingsError
from congru.report.markup import escape

Cell: TypeAlias = str | int | float | None
Best: TypeAlias = Mapping[str, str]  # name of a column -> "min" or "max"


def text_table(
    rows: Sequence[Sequence[Cell]],
    header: Sequence[str] = (),
    *,
    best: Best | None = None,
    decimals: int = 4,
    indent: str = "",
) -> str:
    """Rows as lines with aligned columns.

    Args:
        rows: the cells of each row, as many in each.
        header: the names of the columns, or none.
        best: which columns are marked, and whether their "min" or "max" is best; the mark is a star.
        decimals: digits after the point.
        indent: what every line begins with.

    Raises `SettingsError` where a row has another number of cells, or `best` names no column.

    >>> print(text_table([("GRU", 0.5, 4000), ("last value", 1.0, None)], ("", "mase", "size"), best={"mase": "min"}))
                   mase   size
    GRU         0.5000*  4,000
    last value  1.0000
    """
    marked = _best_cells(rows, header, best or {})
    texts = [
        [_text(cell, decimals) + "*" * ((r, c) in marked) for c, cell in enumerate(row)]
        for r, row in enumerate(rows)
    ]
    starred = {column for _, column in marked}
    for (r, line), row in zip(enumerate(texts), rows):
        for c in starred:
            if (r, c) not in marked and _is_number(row[c]):
                line[c] += " "  # so that the digits stay in one column
    lines = [list(header), *texts] if header else texts
    numeric = _numeric_columns(rows) or [False] * len(header)
    widths = [max(len(line[c]) for line in lines) for c in range(len(numeric))]
    return "\n".join(
        indent
        + "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric)
        ).rstrip()
        for line in lines
    )


def html_table(
    rows: Sequence[Sequence[Cell]],
    header: Sequence[str] = (),
    *,
    best: Best | None = None,
    decimals: int = 4,
) -> str:
    """The same as an HTML table; the best of a column is bold. Arguments and errors as in `text_table`.

    >>> html_table([("<a>", 0.5)], ("x", "y")).splitlines()[2]
    '<tr><td>&lt;a&gt;</td><td class="number">0.5000</td></tr>'
    """
    marked = _best_cells(rows, header, best or {})
    kinds = [' class="number"' if right else "" for right in _numeric_columns(rows)]
    lines = ['<div class="scroll"><table>']
    if header:
        names = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(header, kinds))
        lines.append(f"<tr>{names}</tr>")
    for r, row in enumerate(rows):
        cells = []
        for c, cell in enumerate(row):
            text = escape(_text(cell, decimals))
            cells.append(f"<td{kinds[c]}>{f'<b>{text}</b>' if (r, c) in marked else text}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table></div>"])


def _text(cell: Cell, decimals: int) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.{decimals}f}"
    return f"{cell:,}" if _is_number(cell) else str(cell)


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def _numeric_columns(rows: Sequence[Sequence[Cell]]) -> list[bool]:
    """For each column whether it holds numbers and nothing else; checks that all rows are as long as the first."""
    columns = len(rows[0]) if rows else 0
    for row in rows:
        if len(row) != columns:
            raise SettingsError(
                f"rows has a row of {len(row)} cells, expected {columns} as in the first: pass None where empty"
            )
    filled = [[row[c] for row in rows if row[c] is not None] for c in range(columns)]
    return [bool(cells) and all(map(_is_number, cells)) for cells in filled]


def _best_cells(rows: Sequence[Sequence[Cell]], header: Sequence[str], best: Best) -> set[tuple[int, int]]:
    """The (row, column) of every cell to mark: all that share the best value of a column of `best`."""
    if header and len(header) != len(_numeric_columns(rows)) and rows:
        raise SettingsError(
            f"header has {len(header)} names, expected {len(rows[0])}, one for each column: pass '' for none"
        )
    marked = set()
    for name, direction in best.items():
        if name not in header or direction not in ("min", "max"):
            raise SettingsError(
                f"best has {name!r}: {direction!r}, expected one of {', '.join(map(repr, header))} with 'min' or "
                "'max': pass a column's name"
            )
        column = list(header).index(name)
        values = {
            r: float(cell)
            for r, row in enumerate(rows)
            if isinstance(cell := row[column], (int, float)) and math.isfinite(cell)
        }
        if values:
            extreme = (min if direction == "min" else max)(values.values())
            marked |= {(r, column) for r, value in values.items() if value == extreme}
    return marked
