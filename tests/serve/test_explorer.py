"""The gate explorer: its numbers are those of `congru.gates`, and a run with gates held or states set is that run indeed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.errors import SettingsError
from congru.gates.inspect import inspect
from congru.gates.sources.model_folder import trace_network
from congru.runtime.folder import load
from congru.serve.edits import Edit, run_edited
from congru.serve.explorer import packed
from congru.serve.source import Source
from runtime_models import CELLS, save, save_text, vector_config
from serve_cases import Serving, serving

TEXT = "abcdefg fedcba\nabc"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("models")
    for cell in CELLS:
        save_text(folder / cell, cell)
    save_text(folder / "deep", num_layers=2)
    save(folder / "both", vector_config(bidirectional=True))
    with serving(folder) as running:
        yield running


def explore(server: Serving, name: str, text: str = TEXT) -> dict[str, Any]:
    status, film = server.ask("POST", f"/v1/models/{name}/explore", {"text": text})
    assert status == 200, film
    return dict(film)


def values_of(strip: dict[str, Any], units: int) -> Any:
    raw = np.frombuffer(base64.b64decode(strip["data"]), np.uint8).reshape(-1, units).astype(float)
    return (raw - 127) / 127 * strip["reach"] if strip["signed"] else raw / 255


@pytest.mark.parametrize("cell", CELLS)
def test_the_film_holds_the_gates(server: Serving, cell: str) -> None:
    film = explore(server, cell)
    model = load(server.desk.library.find(cell).path)
    trace = inspect(model, TEXT)
    (layer,) = film["layers"]
    assert film["steps"] == [letter.replace("\n", "⏎").replace(" ", "␣") for letter in TEXT]
    assert film["text"] == TEXT
    strips = {strip["key"]: strip for strip in layer["strips"]}
    reach = strips["state"]["reach"]  # what lies beyond has the colour of the end
    state = np.clip(trace.state[0, 0, 0], -reach, reach)
    np.testing.assert_allclose(values_of(strips["state"], 6), state, atol=reach / 127)
    if "keep" in strips:
        np.testing.assert_allclose(values_of(strips["keep"], 6), trace.keep[0, 0, 0], atol=0.003)
        tau = trace.timescales().tau
        assert np.all(np.diff(tau[layer["order"]]) <= 0)
    p = np.exp(trace.output[0] - trace.output[0].max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    for step, (best, chance) in enumerate([row[0] for row in film["predictions"]["best"]]):
        assert best == p[step].argmax()
        assert chance == pytest.approx(p[step].max(), abs=1e-4)
    for step, (chance, rank) in enumerate(film["predictions"]["actual"]):
        token = film["tokens"][step + 1]
        assert chance == pytest.approx(p[step, token], abs=1e-4)
        assert rank == 1 + (p[step] > p[step, token]).sum()


@pytest.mark.parametrize("trust", [False, True])
def test_shares_add_up_to_the_output_and_equal_the_library(server: Serving, trust: bool) -> None:
    film = explore(server, "gru")
    trace = inspect(load(server.desk.library.find("gru").path), TEXT)
    for at, target in ((5, 2), (len(TEXT) - 1, None)):
        answer = server.ask(
            "POST", f"/v1/explore/{film['run']}/shares", {"at": at, "target": target, "trust": trust}
        )[1]
        memory = trace.memory(target, at)
        np.testing.assert_allclose(answer["contributions"], memory.contributions, atol=2e-5)
        assert answer["output"] == pytest.approx(memory.output, abs=1e-6)
        assert abs(answer["residual"]) < 1e-5
        assert answer["trust"] == (pytest.approx(memory.share) if trust else None)
    assert explore(server, "rnn")["shares"]["kind"] is None


@pytest.mark.parametrize("cell", CELLS)
def test_the_equations_of_a_unit_are_filled_with_its_numbers(server: Serving, cell: str) -> None:
    film = explore(server, cell)
    position = {"node": "rnn", "step": 7, "unit": 4}
    status, one = server.ask("POST", f"/v1/explore/{film['run']}/unit", position)
    assert status == 200

    def sigmoid(a: float) -> float:
        return 1 / (1 + float(np.exp(-a)))

    i, s, g = one["input"], one["state"], one["gates"]
    if cell == "gru":
        assert g["r"] == pytest.approx(sigmoid(i["r"] + s["r"]), abs=1e-5)
        assert g["n"] == pytest.approx(np.tanh(i["n"] + g["r"] * s["n"]), abs=1e-5)
        assert one["after"] == pytest.approx((1 - g["z"]) * g["n"] + g["z"] * one["before"], abs=1e-5)
    elif cell == "lstm":
        assert one["cell_after"] == pytest.approx(g["f"] * one["cell_before"] + g["i"] * g["g"], abs=1e-5)
        assert one["after"] == pytest.approx(g["o"] * np.tanh(one["cell_after"]), abs=1e-5)
    elif cell == "mingru":
        assert g["z"] == pytest.approx(sigmoid(i["z"]), abs=1e-5)
    else:
        assert one["after"] == pytest.approx(np.tanh(i["n"] + s["n"]), abs=1e-5)
    assert server.ask("POST", f"/v1/explore/{film['run']}/unit", {**position, "unit": 6})[0] == 400
    assert server.ask("POST", "/v1/explore/none/unit", position)[0] == 404


def _layers(model: Any, x: Any) -> dict[str, Any]:
    traced, _, _ = trace_network(model.network, x)
    return {name: [row[0] for row in rows] for name, rows in traced.items()}


def test_without_edits_it_is_the_run_itself(tmp_path: Path) -> None:
    model = save_text(tmp_path / "m", num_layers=2)
    ids = np.array([model.tokenizer.encode(TEXT)])
    edited = run_edited(
        model.network,
        {"x": ids} if "x" in model.network.graph.inputs else {next(iter(model.network.graph.inputs)): ids},
        _layers(model, ids),
        (),
    )
    output, state = model.network.run(ids)
    np.testing.assert_array_equal(edited.outputs["head"], output[0])
    for name, value in state.items():
        np.testing.assert_array_equal(edited.state[name], value)


@pytest.mark.parametrize(
    ("cell", "gate", "value"),
    [
        ("gru", "keep", 1.0),
        ("gru", "reset", 0.0),
        ("gru", "candidate", -1.0),
        ("lstm", "output", 0.0),
        ("mingru", "keep", 0.0),
    ],
)
def test_a_held_gate_is_the_clamp_of_the_library(tmp_path: Path, cell: str, gate: str, value: float) -> None:
    model = save_text(tmp_path / "m", cell)
    ids = np.array([model.tokenizer.encode(TEXT)])
    trace = inspect(model, ids)
    clamped = trace.clamp(gate, units=[1, 4], steps=[3, 4, 5], value=value)
    edits = (Edit("rnn", 0, gate, (1, 4), (3, 4, 5), value),)
    edited = run_edited(
        model.network, {next(iter(model.network.graph.inputs)): ids}, _layers(model, ids), edits
    )
    np.testing.assert_allclose(edited.states["rnn", 0], clamped.states[1][0], atol=1e-6)
    np.testing.assert_allclose(edited.outputs["head"], clamped.outputs[1][0], atol=1e-5)
    assert np.abs(edited.states["rnn", 0] - clamped.states[0][0]).max() > 1e-3


@pytest.mark.parametrize(("cell", "what"), [("gru", "state"), ("lstm", "cell"), ("gru-2", "state")])
def test_a_state_that_is_set_is_the_session_that_goes_on_from_it(
    tmp_path: Path, cell: str, what: str
) -> None:
    kind, _, layers = cell.partition("-")
    model = save_text(tmp_path / "m", kind, num_layers=int(layers or 1))
    ids = np.array([model.tokenizer.encode(TEXT)])
    session = model.session().feed(TEXT[:6])
    state = session.state
    part = "rnn.c" if what == "cell" else "rnn.h"
    state[part][0, 0, 2] = 0.9
    session.state = state
    session.feed(TEXT[6:])
    edits = (Edit("rnn", 0, what, (2,), (5,), 0.9),)
    edited = run_edited(
        model.network, {next(iter(model.network.graph.inputs)): ids}, _layers(model, ids), edits
    )
    if not layers:
        np.testing.assert_allclose(edited.outputs["head"][-1], session.last, atol=1e-5)
        np.testing.assert_allclose(edited.state[part], session.state[part], atol=1e-5)
    else:  # the layer above read the step before the change was made: only the first layer is the session's
        np.testing.assert_allclose(edited.state[part][0], session.state[part][0], atol=1e-5)


def test_edits_that_cannot_be_are_refused(tmp_path: Path) -> None:
    model = save_text(tmp_path / "m")
    ids = np.array([model.tokenizer.encode(TEXT)])
    x, layers = {next(iter(model.network.graph.inputs)): ids}, _layers(model, ids)
    for edit, words in (
        (Edit("rnn", 0, "keep", (0,), (0,), 1.5), "expected 0 to 1"),
        (Edit("rnn", 0, "keep", (6,), (0,), 1.0), "expected numbers from 0 to 5"),
        (Edit("rnn", 0, "keep", (0,), (99,), 1.0), "expected numbers from 0 to 17"),
        (Edit("rnn", 1, "keep", (0,), (0,), 1.0), "expected a recurrent layer"),
        (Edit("rnn", 0, "cell", (0,), (0,), 1.0), "only an LSTM"),
    ):
        with pytest.raises(SettingsError, match=words):
            run_edited(model.network, x, layers, (edit,))


def test_a_clamp_changes_the_continuation_and_without_it_it_is_as_it_was(server: Serving) -> None:
    film = explore(server, "gru")
    path = f"/v1/explore/{film['run']}/what-if"
    body = {"n": 60, "temperature": 0.8, "seed": 3}
    was = server.ask("POST", path, body)[1]
    model = load(server.desk.library.find("gru").path)
    continuation = "".join(model.session(seed=3).feed(TEXT).generate(60, temperature=0.8))
    assert was["outcome"]["text"] == continuation
    edit = {
        "node": "rnn",
        "what": "candidate",
        "units": list(range(6)),
        "steps": list(range(len(TEXT))),
        "value": 1,
    }
    now = server.ask("POST", path, {**body, "edits": [edit]})[1]
    assert now["outcome"]["text"] != continuation
    assert now["outcome"]["next"] != was["outcome"]["next"]
    candidate = next(strip for strip in now["layers"][0]["strips"] if strip["key"] == "candidate")
    np.testing.assert_allclose(values_of(candidate, 6), candidate["reach"])
    assert server.ask("POST", path, body)[1] == was
    assert server.ask("POST", path, {**body, "edits": [{**edit, "value": 2}]})[0] == 400


def test_a_layer_that_runs_both_ways_is_shown_and_not_held(server: Serving) -> None:
    folder = server.desk.library.find("both").path
    from congru.serve.explorer import Explorer, film

    shelf = server.desk.library.find("both")
    explored = Explorer().explore(shelf, load(folder), Source(np.ones((1, 4, 3), np.float32), list("abcd")))
    told = film(explored)
    assert [layer["direction"] for layer in told["layers"]] == [0, 1]
    assert told["edits"] is False


def test_long_texts_are_cut_and_bad_ones_cost_a_line(server: Serving) -> None:
    film = explore(server, "gru", "abc" * 300)
    assert (len(film["steps"]), film["cut"]) == (600, 300)
    status, answer = server.ask("POST", "/v1/models/gru/explore", {"text": "Z"})
    assert status == 400
    assert "expected one of the model's" in answer["error"]["message"]
    assert explore(
        server,
        "gru",
        "/etc/passwd".replace("/", "a")
        .replace("t", "a")
        .replace("p", "a")
        .replace("s", "a")
        .replace("w", "a"),
    )["steps"]


def test_bytes_keep_values() -> None:
    values = np.linspace(-0.8, 0.8, 40).reshape(8, 5)
    strip = {**packed(values, True), "signed": True}
    np.testing.assert_allclose(values_of(strip, 5), values, atol=0.8 / 127)
