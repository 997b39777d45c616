"""What results look like in a notebook: static, small, in the page's own colours, nothing unescaped."""

from __future__ import annotations

import re

import numpy as np
import pytest

from congru.report.cell import card, colored_steps
from congru.train.summary import RunResult
from gates_cases import random_trace

TRACE = random_trace("gru", T=40, B=1, tokens=["<b>", *"x" * 39])
RESULT = RunResult("finished", None, "bpc", 2.25, 900, {"5-gram": 2.5}, 1000, 75.0, 12345)


@pytest.mark.parametrize(
    "result",
    [TRACE.memory("b"), TRACE.timescales(), TRACE.saturation(), TRACE.picture("flow"), RESULT],
    ids=["memory", "timescales", "saturation", "picture", "training"],
)
def test_results_show_themselves(result: object) -> None:
    shown = result._repr_html_()  # type: ignore[attr-defined]
    assert len(shown.encode()) < 100_000
    assert "<script" not in shown
    assert not re.search(r'(?:src|href)="http', shown)
    assert "<b><b>" not in shown
    assert 'class="congru"' in shown
    assert "color:inherit" in shown


def test_steps_are_coloured_by_sign_and_size() -> None:
    shown = colored_steps(["a", "b", "cd"], np.array([-1.0, 0.0, 2.0]))
    assert '<span style="background:rgba(47,120,183,0.35)">a</span> <span>b</span>' in shown
    assert 'background:rgba(217,115,26,0.70)">cd' in shown
    assert colored_steps([], []) == '<p class="steps"></p>'
    assert "&lt;b&gt;" in card("<b>")
