"""Every view is drawn for every cell that allows it, says its question and limit, and shows the numbers it
should.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from congru.errors import CongruError
from congru.gates import Trace
from congru.gates.monitor import gate_statistics, timescale_growth
from congru.gates.pictures.film import film
from congru.gates.pictures.gradient_flow import gradient_flow
from congru.gates.pictures.memory_map import memory_map, window
from congru.gates.pictures.timescale import timescale_histogram
from congru.gates.pictures.views import VIEWS
from congru.gates.strips import strips_of, unit_order
from congru.report.colors import color, reach_of
from congru.report.png import encode
from congru.report.steps import average, columns_of, label_axis, printable, tick_labels, total
from gates_cases import known_keep, random_trace

NEEDS_KEEP = {"memory", "trust", "age", "timescales"}


def options_of(view: str, cell: str) -> dict[str, object]:
    if view in ("memory", "trust") and cell == "lstm":
        return {"on": "cell"}
    return {"gate": "candidate", "value": 0.0} if view == "whatif" else {}


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "mingru"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_every_cell(view: str, cell: str) -> None:
    trace = random_trace(cell, T=12)
    if view in NEEDS_KEEP and cell == "rnn":
        with pytest.raises(CongruError, match="expected a cell with a keep gate"):
            trace.picture(view)
        return
    picture = trace.picture(view, row=1, **options_of(view, cell))
    text = picture.draw("svg").decode()
    assert "?" in picture.question
    shown = re.sub(r"\s+", "", re.sub(r"<!--.*?-->|<[^>]+>", "", text))
    for words in (picture.question, picture.limit):
        assert (
            re.sub(r"\s+", "", words).replace("<", "&lt;").replace(">", "&gt;").replace("&", "&amp;")[:24]
            in shown
        )


def test_a_page_that_prints_the_caption_gets_a_bare_picture() -> None:
    picture = random_trace("gru").picture("saturation")
    bare = picture.draw("svg", caption=False).decode()
    assert "not a fault" in picture.draw("svg").decode()
    assert "not a fault" not in bare


def test_there_are_eleven_views_and_an_unknown_one_has_its_line() -> None:
    assert len(VIEWS) == 11
    with pytest.raises(CongruError, match="view is 'movie', expected one of film, memory, trust"):
        random_trace("gru").picture("movie")


def test_files_are_svg_or_png(tmp_path: Path) -> None:
    picture = random_trace("gru").picture("film")
    assert picture.save(tmp_path / "plots" / "film.svg").read_bytes().startswith(b"<?xml")
    assert picture.save(tmp_path / "film.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(
        CongruError, match=r"picture path is 'film.bmp', expected a name ending in .svg or .png"
    ):
        picture.save(tmp_path / "film.bmp")


def test_the_same_picture_is_the_same_file() -> None:
    first, second = (random_trace("gru").picture("film").draw("svg") for _ in range(2))
    assert first == second


def images_of(trace: Trace) -> dict[str, object]:
    picture = film(trace.top, trace.tokens[0])
    return {axes.images[0].get_gid(): axes.images[0] for axes in picture.figure.axes if axes.images}


def test_the_film_shows_the_gates_sorted_by_timescale() -> None:
    trace = random_trace("gru", T=7)
    images = images_of(trace)
    assert list(images) == ["film-keep", "film-reset", "film-candidate", "film-state"]
    order = np.argsort(-trace.timescales().tau)
    np.testing.assert_allclose(images["film-keep"].get_array(), trace.keep[0, 0, 0].T[order])
    np.testing.assert_allclose(images["film-state"].get_array(), trace.state[0, 0, 0].T[order])
    assert images["film-keep"].norm.vmin == 0
    assert images["film-keep"].norm.vmax == 1
    assert images["film-state"].norm.vmin == -images["film-state"].norm.vmax


def test_a_long_film_is_aggregated_without_smearing() -> None:
    trace = random_trace("gru", T=451, B=1)
    shown = images_of(trace)["film-keep"].get_array()
    assert shown.shape == (5, 151)
    order = unit_order(trace.top)
    np.testing.assert_allclose(shown[:, 0], trace.keep[0, 0, 0, :3].mean(axis=0)[order])
    np.testing.assert_allclose(shown[:, -1], trace.keep[0, 0, 0, 450:].mean(axis=0)[order])


def test_tokens_stand_under_the_film() -> None:
    trace = random_trace("gru", T=6, tokens=["The", "cat", "sat", "$x_1$", "\n", ""])
    text = film(trace.top, trace.tokens[0]).draw("svg").decode()
    for token in ("The", "cat", "$x_1$", "↵", "∅"):
        assert token in text


def test_missing_glyphs_are_no_warning() -> None:
    trace = random_trace("gru", T=3, tokens=["今日は", "𓀀", "a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        film(trace.top, trace.tokens[0]).draw("png")


def test_strips_of_each_cell() -> None:
    keys = {
        cell: [strip.key for strip in strips_of(random_trace(cell).top, 0)] for cell in ("gru", "lstm", "rnn")
    }
    assert keys["lstm"] == ["keep", "input", "output", "candidate", "cell", "state"]
    assert keys["rnn"] == ["state"]


def test_tick_labels_fit_their_room() -> None:
    assert tick_labels(list("abc"), 100) == ([0, 1, 2], ["a", "b", "c"], False)
    steps, texts, upright = tick_labels([f"2024-01-{day:02}" for day in range(1, 31)], 60)
    assert upright
    assert len(steps) <= 30
    assert texts[0] == "2024-01-01"
    steps, texts, _ = tick_labels(list("the quick brown fox jumps over the lazy dog") * 10, 100)
    assert all(len(text) <= steps[1] - steps[0] for text in texts)
    assert texts[0] == "the quick brown fox jumps over the lazy dog"[: len(texts[0])]
    steps, texts, upright = tick_labels([str(step) for step in range(500)], 100)
    assert not upright
    assert texts == [str(step) for step in steps]


def test_columns_average_and_sum_whole_steps() -> None:
    columns = columns_of(7, 3)
    assert columns.begins.tolist() == [0, 3, 6]
    values = np.arange(14.0).reshape(7, 2)
    np.testing.assert_allclose(average(values, columns), [[2, 3], [8, 9], [12, 13]])
    np.testing.assert_allclose(total(values[:, 0], columns), [6, 24, 12])
    assert columns_of(200).per_column == 1


def test_the_axis_names_the_steps_and_the_aggregation() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    label_axis(axes, list("abcdefgh"), columns_of(8, 4), 100)
    assert axes.get_xlabel() == "8 steps, each column the mean of up to 2"
    assert axes.get_xticks().tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]


def test_the_memory_map_draws_the_shares() -> None:
    trace = random_trace("gru", T=10)
    memory = trace.memory("b")
    axes = memory_map(memory).figure.axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, memory.contributions, atol=1e-12)
    assert "trust share" in memory_map(memory).limit


def test_a_long_memory_map_shows_the_steps_that_count() -> None:
    memory = known_keep([0.5], T=300).memory(np.ones(1))
    begin, end = window(memory)
    assert (begin, end) == (276, 300)
    assert np.abs(memory.contributions[:begin]).sum() < 0.01 * np.abs(memory.contributions).sum()
    title = memory_map(memory).figure.axes[0].get_title(loc="left")
    assert "the 276 steps before together" in title
    assert window(known_keep([0.9999], T=300).memory(np.ones(1)))[0] == 0


def test_the_histogram_counts_every_unit_and_marks_the_data() -> None:
    trace = known_keep([0.5, 0.9, 0.99, 0.5], T=30)
    scales = trace.timescales(series=np.sin(np.arange(300) / 5))
    axes = timescale_histogram({"layer": scales}, 30).figure.axes[0]
    assert sum(axes.patches[0].get_data().values) == 4
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts == [f"data {scales.data:.3g}", "input 30"]


def test_gradient_flows_are_drawn_together() -> None:
    flows = {cell: random_trace(cell, T=9).gradient_flow(0) for cell in ("gru", "lstm", "rnn")}
    axes = gradient_flow(flows).figure.axes[0]
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["gru", "gru, carry path", "lstm", "lstm, carry path", "rnn"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), flows["gru"].gradient / flows["gru"].gradient[0])


def test_colors_of_shares_and_signs() -> None:
    assert color(np.array([-1.0, 0.0, 1.0]), signed=True).tolist() == [
        [11, 60, 111],
        [245, 245, 242],
        [127, 50, 0],
    ]
    assert color(np.array([np.nan, 2.0]), signed=False).tolist() == [[0, 34, 78], [254, 232, 56]]
    assert reach_of(np.zeros(3)) == 1e-6
    assert reach_of(np.array([-2.0, 2.0])) == 2.0


def test_png_is_read_back_by_another_library() -> None:
    import io

    from matplotlib.image import imread

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    back = imread(io.BytesIO(encode(pixels)))
    np.testing.assert_array_equal(np.round(back[..., :3] * 255).astype(np.uint8), pixels)


def test_printable_tokens() -> None:
    assert [printable(token) for token in (" ", "\n", "", "é", "\x1b")] == ["␣", "↵", "∅", "é", "\\x1b"]


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru", "rnn"])
def test_statistics_while_training(cell: str) -> None:
    trace = random_trace(cell)
    statistics = gate_statistics(trace)
    assert all(isinstance(value, float) and np.isfinite(value) for value in statistics.values())
    if cell == "gru":
        assert statistics["keep_mean"] == pytest.approx(trace.keep.mean())
        assert statistics["tau_50"] == pytest.approx(np.median(trace.timescales().tau))
        assert {"reset_open", "reset_closed"} <= statistics.keys()
    if cell == "rnn":
        assert statistics.keys() == {"candidate_mean", "candidate_closed", "candidate_open"}


def test_growth_of_timescales() -> None:
    rows = [(step, gate_statistics(random_trace("gru", seed=step))) for step in (0, 10, 20)]
    axes = timescale_growth(rows).figure.axes[0]
    assert axes.lines[0].get_xdata().tolist() == [0, 10, 20]
    assert axes.lines[0].get_ydata().tolist() == [row["tau_50"] for _, row in rows]
    with pytest.raises(CongruError, match="rows has 1 rows without tau_50, expected some"):
        timescale_growth([(0, gate_statistics(random_trace("rnn")))])
