"""Notebook and terminal: static, small, and showing the same numbers as the pictures."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from congru.errors import CongruError
from congru.gates.terminal import heat_map
from congru.report.style import styled
from gates_cases import known_keep, random_trace


def test_notebook_view_is_small_static_and_for_light_and_dark() -> None:
    trace = random_trace("gru", T=500, H=128, B=1, layers=2, tokens=list("<b>&x" * 100))
    page = trace._repr_html_()
    assert len(page.encode()) < 100_000
    assert "<script" not in page
    assert "http" not in page
    assert set(re.findall(r"[;{]color:([^;}]*)", page)) == {"inherit"}  # the page's own colour, light or dark
    assert "<b>&x" not in page
    assert page.count("data:image/png;base64,") == 2


@pytest.mark.parametrize("view", ["film", "memory", "trust", "age", "timescales", "saturation"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_every_picture_of_a_wide_layer_is_small_in_a_notebook(view: str, cell: str) -> None:
    trace = random_trace(cell, T=200, H=512, B=1)
    assert len(trace.picture(view)._repr_html_().encode()) < 100_000


def test_a_palette_keeps_every_pixel() -> None:
    """And of a higher image the rows kept are some of its own, the first and the last among them."""
    picture = random_trace("gru", T=9, H=150, B=1).picture("film")

    def images(**options: int) -> list[np.ndarray]:
        svg = picture.draw("svg", caption=False, **options).decode()
        contents = re.findall(r'href="data:image/png;base64,([^"]+)"[^>]*id="film', svg)
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGBA")) for one in contents]

    whole, few = images(), images(most_rows=40)
    with styled():
        stream = io.BytesIO()
        picture.figure.savefig(stream, format="svg")
    plain = re.findall(r'href="data:image/png;base64,([^"]+)"[^>]*id="film', stream.getvalue().decode())
    assert len(whole) == len(plain) == 4
    for image, rows, content in zip(whole, few, plain):
        own = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA"))
        np.testing.assert_array_equal(image, own)
        assert len(rows) == 40
        np.testing.assert_array_equal(rows[[0, -1]], own[[0, -1]])


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "mingru"])
def test_notebook_view_of_every_cell(cell: str) -> None:
    page = random_trace(cell, layers=3, ways=2, lengths=[6, 2])._repr_html_()
    assert "state h after the step" in page
    assert page.count("<li>") == (6 if cell == "rnn" else 9)
    assert ("more: trace.summary()" in page) == (cell != "rnn")


def test_heat_map_shades_follow_the_values() -> None:
    values = np.array([[0.0, 0.25], [0.5, 0.75], [1.0, 1.0]])
    assert heat_map(values, height=2) == " ▒█\n░▓█"
    assert heat_map(values - 1, height=2, signed=True).splitlines()[0][0] == "█"
    assert max(map(len, heat_map(np.ones((500, 40)), width=76).splitlines())) <= 76
    assert len(heat_map(np.ones((5, 40)), height=8).splitlines()) == 8


def test_colored_heat_map_has_half_blocks() -> None:
    text = heat_map(np.array([[0.0, 1.0, 1.0]] * 2), height=2, colored=True)
    assert text.count("▀") == 4
    assert "38;2;0;34;78;48;2;254;232;56m" in text
    assert all(line.endswith("\x1b[0m") for line in text.splitlines())


def test_heat_map_of_nothing_has_its_line() -> None:
    with pytest.raises(
        CongruError, match=r"values has shape \(0, 3\), expected \[T, H\] with at least one of each"
    ):
        heat_map(np.zeros((0, 3)))


def test_film_as_text() -> None:
    trace = known_keep([0.99, 0.01], T=8)
    text = trace.text(["keep"], height=2)
    lines = text.splitlines()
    assert lines[0].startswith("keep: 1 = the old state stays")
    assert lines[1:3] == ["█" * 8, " " * 8]
    assert lines[3] == "01234567"
    words = random_trace("gru", T=3, B=1, tokens=["listen", "to", "music"]).text(["keep"]).splitlines()
    assert words[-1] == "listen to     music"
    assert {len(line) for line in words[1:-1]} == {21}  # seven characters a word
    both = random_trace("gru", tokens=list("abcdef")).text()
    assert re.findall(r"^\w+", both, re.MULTILINE)[0] == "keep"
    assert both.splitlines()[-1] == "abcdef"
    with pytest.raises(
        CongruError, match=r"gates is \('keep',\), expected some of state: this layer has no other"
    ):
        random_trace("rnn").text(["keep"])
