"""Tables: aligned numbers, the best marked, one line for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from congru.errors import SettingsError
from congru.report.table import html_table, text_table

ROWS = [("GRU", 0.5, 40_000, "3 s"), ("LSTM", 0.5, 50_000, "12 s"), ("last value", 12.25, None, None)]
HEADER = ("", "mase", "parameters", "time")


def test_numbers_stand_to_the_right_and_ties_share_the_mark() -> None:
    assert text_table(ROWS, HEADER, best={"mase": "min", "parameters": "max"}, decimals=2).splitlines() == [
        "              mase  parameters  time",
        "GRU          0.50*     40,000   3 s",
        "LSTM         0.50*     50,000*  12 s",
        "last value  12.25",
    ]


def test_a_table_may_have_no_header_and_no_mark() -> None:
    assert text_table([("a", "1"), ("long", "2")], indent="  ") == "  a     1\n  long  2"
    assert text_table([], ("a", "b")) == "a  b"
    assert text_table([]) == ""


def test_what_is_not_finite_is_never_best() -> None:
    rows = [("a", float("nan")), ("b", float("inf")), ("c", 2.0)]
    assert text_table(rows, ("", "x"), best={"x": "max"}).splitlines()[-1].split() == ["c", "2.0000*"]
    assert "*" not in text_table(rows[:1], ("", "x"), best={"x": "max"})


def test_html_is_escaped_numbers_are_right_and_the_best_is_bold() -> None:
    assert html_table([("<a>", 0.5), ("b", 1.0)], ("x", "y"), best={"y": "min"}).splitlines() == [
        '<div class="scroll"><table>',
        '<tr><th>x</th><th class="number">y</th></tr>',
        '<tr><td>&lt;a&gt;</td><td class="number"><b>0.5000</b></td></tr>',
        '<tr><td>b</td><td class="number">1.0000</td></tr>',
        "</table></div>",
    ]
    assert html_table([("flag", True)]).splitlines()[1] == "<tr><td>flag</td><td>True</td></tr>"


@pytest.mark.parametrize("table", [text_table, html_table])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"rows": [("a", 1), ("b",)]},
            "rows has a row of 1 cells, expected 2 as in the first: pass None where empty",
        ),
        (
            {"rows": [("a", 1)], "header": ("x",)},
            "header has 1 names, expected 2, one for each column: pass '' for none",
        ),
        (
            {"rows": [("a", 1)], "header": ("", "y"), "best": {"z": "min"}},
            "best has 'z': 'min', expected one of '', 'y' with 'min' or 'max': pass a column's name",
        ),
        (
            {"rows": [("a", 1)], "header": ("", "y"), "best": {"y": "low"}},
            "best has 'y': 'low', expected one of",
        ),
    ],
)
def test_mistakes_have_one_line(table: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        table(**arguments)
    assert str(caught.value).startswith(message)
