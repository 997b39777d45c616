"""What results look like in a notebook: static, small, in the page's own colours, nothing unescaped."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import congru
from congru.report.cell import card, colored_steps
from congru.train.summary import RunResult
from gates_cases import random_trace

TRACE = random_trace("gru", T=40, B=1, tokens=["<b>", *"x" * 39])
SESSION = congru.load(Path(__file__).parents[1] / "tasks" / "folders" / "text-format-1").session().feed("a")
RESULT = RunResult("finished", None, "bpc", 2.25, 900, {"5-gram": 2.5}, 1000, 75.0, 12345)


@pytest.mark.parametrize(
    "result",
    [TRACE.memory("b"), TRACE.timescales(), TRACE.saturation(), TRACE.picture("flow"), RESULT, SESSION],
    ids=["memory", "timescales", "saturation", "picture", "training", "session"],
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


def test_a_session_shows_its_state_and_changes_nothing() -> None:
    before = SESSION.state
    assert re.match(r"<Session over one sequence: \w+\.h \[1, 1, \d+\]", repr(SESSION))
    assert "<img alt=" in SESSION._repr_html_()
    for name, value in before.items():
        np.testing.assert_array_equal(SESSION.state[name], value)
