"""What the report says in words: the exact shares of every prediction, three sentences, the input in its task's terms."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from congru.gates.parts import has_parts, parts_of_steps, states_of_steps
from congru.gates.pictures.landscape import _spread
from congru.gates.predictions import percent, probable
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.report import report
from gates_cases import FORMS, known_keep, random_trace


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
@pytest.mark.parametrize("kind", ["steps", "mean"])
def test_parts_and_start_are_the_state(cell: str, reset_before: bool, kind: str) -> None:
    trace = random_trace(cell, reset_before, T=7, B=1)
    if cell == "rnn":
        assert not has_parts(trace)
        return
    states = states_of_steps(trace, 0, kind)
    run = trace.top.run(0)
    kept = np.cumprod(run.keep, axis=0)
    start = kept * run.start * (trace.state[0, 0, 0] / trace.memory_state[0, 0, 0])
    start = np.cumsum(start, 0) / np.arange(1, 8)[:, None] if kind == "mean" else start
    for t, parts in enumerate(parts_of_steps(trace, 0, kind)):
        assert parts.shape == (t + 1, 5)
        np.testing.assert_allclose(parts.sum(axis=0) + start[t], states[t], atol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru"])
@pytest.mark.parametrize("kind", ["steps", "last", "mean"])
def test_the_shares_of_the_last_prediction_are_those_of_memory(cell: str, kind: str) -> None:
    trace = random_trace(cell, T=9, B=1, readout=kind)
    last = probable(trace)[-1]
    assert [one.name for one in last.choices] == [
        trace.readout.labels[k] for k in np.argsort(-trace.output[0].reshape(-1, 4)[-1])
    ]
    shares = trace.memory(last.choices[0].name).contributions
    np.testing.assert_allclose(last.choices[0].shares, shares, atol=1e-12)


def test_both_directions_give_one_prediction() -> None:
    trace = random_trace("gru", T=6, B=1, ways=2, readout="final")
    (only,) = probable(trace)
    assert only.at == 5
    np.testing.assert_allclose(only.choices[0].shares, trace.memory().contributions, atol=1e-12)


def test_what_came_stands_among_the_choices() -> None:
    trace = random_trace("gru", T=4, B=1)
    predictions = probable(trace, list("wxyz"), actual=["z", "w", "x", "y"])
    assert [one.actual for one in predictions] == ["z", "w", "x", "y"]
    assert all(one.actual in [choice.name for choice in one.choices] for one in predictions)
    assert sum(choice.bar for choice in predictions[0].choices) == pytest.approx(1)
    assert percent(predictions[0].choices[0].bar) == predictions[0].choices[0].value


def summary(page: str) -> str:
    text = page.split('<section id="summary">')[1].split("</section>")[0]
    return re.sub("<[^>]+>", " ", text)


def test_the_three_sentences_say_the_numbers(tmp_path: Path) -> None:
    """Units that keep exactly half for ever lose half in a day."""
    trace = known_keep([0.5, 0.5, 0.5], T=12)
    shares = np.r_[np.zeros(9), 1.0, -2.0, 1.0]
    choice = Choice("Thursday", "14.2 °C", 0.5, shares)
    reading = Reading(
        None,
        [f"day {k}" for k in range(12)],
        step="day",
        predicts="The forecast",
        predict=lambda record: [Prediction(11, (choice,))],
    )
    page = report(trace, tmp_path / "r.html", context={"reading": reading}).read_text(encoding="utf-8")
    text = summary(page)
    assert "Half of the 3 units have lost half of what they held after 1.0 days" in text
    assert "The forecast, Thursday at 14.2 °C, stands to 75 % on the last 2 days of 12." in text
    assert "This can be read as it stands: only 0 % of the memory is rewritten on the way." in text


def test_steps_of_known_length_are_told_in_time_too(tmp_path: Path) -> None:
    reading = Reading(None, [str(k) for k in range(12)], step="frame", seconds=0.03)
    page = report(known_keep([0.5] * 3, T=12), tmp_path / "r.html", context={"reading": reading})
    assert "what they held after 1.0 frames (30 ms)" in summary(page.read_text(encoding="utf-8"))


def test_the_shares_of_something_else_are_not_told_as_those_of_the_prediction(tmp_path: Path) -> None:
    choice = Choice("greet", "90 %", 0.9)
    for trace, words in (
        (
            known_keep([0.5] * 3, T=12),
            "The intent, greet at 90 %, is made from the memory, and that stands to ",
        ),
        (random_trace("gru", T=12, B=1), "The intent, greet at 90 %, is made from all states; one of them, "),
    ):
        reading = Reading(
            None,
            [f"w{k}" for k in range(12)],
            step="word",
            predicts="The intent",
            predict=lambda record: [Prediction(11, (choice,))],
        )
        page = report(trace, tmp_path / "r.html", context={"reading": reading}).read_text(encoding="utf-8")
        assert words in summary(page)


def test_labels_of_a_path_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    flat, labels = rng.normal(size=(60, 2)), [f"G{k} A{k} C{k}" for k in range(60)]
    spots = flat / np.ptp(flat, axis=0)
    chosen = _spread(flat, labels, 24)
    assert len(chosen) > 8
    for a in chosen:
        for b in chosen:
            right, up = spots[b] - spots[a]
            assert a == b or abs(up) >= 1 / 20 or not 0 <= right < len(labels[a]) / 60


def test_a_plain_rnn_is_told_without_gates(tmp_path: Path) -> None:
    page = report(random_trace("rnn", T=8), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "nothing is kept by a gate" in summary(page)
    assert "has no exact shares" in summary(page)


def test_outputs_are_shown_in_their_unit(tmp_path: Path) -> None:
    trace = random_trace("gru", T=5, B=1)
    reading = Reading(
        None, list("abcde"), outputs=list("wxyz"), scale=[10.0] * 4, shift=[100.0] * 4, target=2
    )
    page = report(trace, tmp_path / "r.html", context={"reading": reading}).read_text(encoding="utf-8")
    value = 10 * trace.output[0, -1, 2] + 100
    assert f"In numbers, “y”: {value:+.4f} = " in page


def test_the_input_is_shown_without_a_script_and_cannot_break_the_page(tmp_path: Path) -> None:
    tokens = ["<b>", " ", "\n", "x"]
    trace = random_trace("gru", T=4, B=1, tokens=tokens)
    reading = Reading(None, tokens, step="character", flow=True, outputs=["</script>", "b", "c", "d"])
    page = report(trace, tmp_path / "r.html", context={"reading": reading}).read_text(encoding="utf-8")
    view = page.split('<section id="view">')[1].split("</section>")[0]
    assert "&lt;b&gt;</span>" in view
    assert view.count("data-k=") == 4
    assert "background:rgba(" in view
    numbers = json.loads(re.search(r'id="congru-view">(.*?)</script>', view, re.DOTALL).group(1))
    assert [one["at"] for one in numbers["said"]] == [0, 1, 2, 3]
    assert "“</script>”" in [choice[1] for choice in numbers["said"][0]["choices"]]


def test_few_steps_are_told_in_sentences(tmp_path: Path) -> None:
    page = report(random_trace("gru", T=2, B=1), tmp_path / "r.html").read_text(encoding="utf-8")
    for key in ("flow", "stability"):
        assert "<svg" not in page.split(f'<section id="{key}">')[1].split("</section>")[0]


def test_pictures_follow_light_and_dark_and_have_a_name(tmp_path: Path) -> None:
    page = report(random_trace("gru", T=8), tmp_path / "r.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<div class="figure([^"]*)"><svg ([^>]*)>', page)
    assert len(pictures) >= 7
    assert all(kind == "" and 'role="img" aria-label="' in head for kind, head in pictures)


def test_a_layer_called_rnn_is_named_by_its_cell() -> None:
    layer = random_trace("gru").top
    named = [replace(layer, name=name).title for name in ("rnn", "rnn layer 2 backward", "encoder")]
    assert named == ["GRU", "GRU layer 2 backward", "encoder (GRU)"]


def test_no_identifier_stands_twice(tmp_path: Path) -> None:
    trace = random_trace("gru", T=8, B=1, layers=2, ways=2, readout="final")
    page = report(trace, tmp_path / "r.html").read_text(encoding="utf-8")
    body = re.sub(r"(?s)<svg.*?</svg>", "", page)
    identifiers = re.findall(r'\bid="([^"]+)"', body)
    assert len(identifiers) == len(set(identifiers))
