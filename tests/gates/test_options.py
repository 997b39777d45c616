"""Layer norm, heads and zoneout: the same gates, Jacobians, shares and what-if runs as the layer that really ran.

Everything here is held against something that knows nothing of `congru.gates`: the layer's own gates, torch's
automatic differentiation of the layer in float64, the layer run again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.errors import CongruError, SettingsError, ShapeError
from congru.gates import Stack, Trace
from congru.gates.form import KEEP, Form, as_form
from congru.gates.jacobian import after, jacobians, pull_back, steps_of
from congru.gates.recover import recover
from congru.gates.weights import as_weights

I, H, B, T = 3, 6, 2, 7
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "gru, layer norm": ("GRU", {"layer_norm": True}),
    "gru, layer norm, reset before": ("GRU", {"layer_norm": True, "reset_before": True}),
    "gru, dreamer": ("GRU", {"layer_norm": "dreamer"}),
    "gru, heads": ("GRU", {"num_heads": 3}),
    "gru, zoneout": ("GRU", {"zoneout": 0.3}),
    "gru, reset before, all": (
        "GRU",
        {"layer_norm": True, "reset_before": True, "num_heads": 2, "zoneout": 0.2},
    ),
    "gru, dreamer, zoneout": ("GRU", {"layer_norm": "dreamer", "zoneout": 0.2}),
    "lstm, layer norm": ("LSTM", {"layer_norm": True}),
    "lstm, heads": ("LSTM", {"num_heads": 2}),
    "lstm, zoneout": ("LSTM", {"zoneout": 0.3}),
    "lstm, all": ("LSTM", {"layer_norm": True, "num_heads": 2, "zoneout": 0.2}),
    "rnn, heads, zoneout": ("RNN", {"num_heads": 3, "zoneout": 0.3}),
}
every_form = pytest.mark.parametrize("name", FORMS)


def layer_of(name: str, dtype: torch.dtype = torch.float64, **more: Any) -> Any:
    """A layer of that form with weights, gains and biases that are all different; it stays in training mode."""
    kind, options = FORMS[name]
    torch.manual_seed(0)
    layer = getattr(congru.nn, kind)(I, H, batch_first=True, dtype=dtype, **{**options, **more})
    with torch.no_grad():
        for key, parameter in layer.named_parameters():
            parameter.uniform_(-0.9, 0.9)
            if key.startswith("gain"):
                parameter.add_(1.5)
    return layer


def starts(layer: Any, num_layers: int = 1) -> Any:
    """A state [L*D, B, H] that is not zero."""
    random = torch.Generator().manual_seed(1)
    parts = [torch.randn(num_layers, B, H, generator=random, dtype=torch.float64) * 0.5 for _ in range(2)]
    return tuple(parts) if layer.cell == "lstm" else parts[0]


def inputs() -> torch.Tensor:
    return torch.randn(B, T, I, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def traced(name: str, **options: Any) -> tuple[Any, Trace]:
    layer = layer_of(name)
    return layer, congru.inspect(layer, inputs(), h0=starts(layer), **options)


def whole_state(layer: Any, trace: Trace, row: int, t: int) -> torch.Tensor:
    """The state before step t of a row as one vector [S]."""
    return torch.cat([torch.tensor(part[row, t]) for part in trace.top.recovered.state_prev])


def one_step(layer: Any, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """The layer's own step from a state [S], as it runs in use."""
    parts = tuple(part[None, None] for part in state.split(H))
    _, final = layer.eval()(x[None, None], parts if len(parts) == 2 else parts[0])
    return torch.cat([part[0, 0] for part in (final if isinstance(final, tuple) else (final,))])


@every_form
def test_gates_and_states_are_the_layers_own(name: str) -> None:
    layer, trace = traced(name, lengths=[T, 4])
    assert layer.training
    y, _, gates = layer.eval()(inputs(), starts(layer), lengths=torch.tensor([T, 4]), return_gates=True)
    np.testing.assert_allclose(trace.top.recovered.stacked(), gates[0, 0].detach(), atol=1e-12)
    np.testing.assert_allclose(trace.state[0, 0], y.detach(), atol=1e-12)
    assert trace.check(1e-13) < 1e-13
    if layer.cell in KEEP:
        p, letter = layer.zoneout, KEEP[layer.cell]
        np.testing.assert_allclose(trace.keep, p + (1 - p) * trace.gate(letter), atol=1e-15)


@every_form
def test_memory_is_kept_and_written(name: str) -> None:
    """memory_k = keep_k memory_{k-1} + written_k is what age, timescales and shares stand on."""
    _, trace = traced(name)
    if trace.cell not in KEEP:
        with pytest.raises(CongruError, match="keep is asked of a plain RNN"):
            trace.top.run(1)
        return
    run = trace.top.run(1)
    before = np.concatenate([run.start[None], run.memory[:-1]])
    np.testing.assert_allclose(run.keep * before + run.written, run.memory, atol=1e-12)


@every_form
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_float32_layers_are_explained_to_one_in_a_million(name: str, scale: float) -> None:
    layer = layer_of(name, torch.float32)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(scale)
    trace = congru.inspect(layer, torch.randn(2, 300, I, generator=torch.Generator().manual_seed(3)))
    assert trace.check(1e-6) <= 1e-6


@every_form
def test_another_form_is_noticed(name: str) -> None:
    """The same weights read as another form miss the output by far more than the residual allows."""
    _, trace = traced(name)
    top, form = trace.top, trace.top.form
    others = []
    if form.zoneout:
        others.append(form._replace(zoneout=form.zoneout + 0.01))
    if form.layer_norm is True and form.cell == "gru":
        others.append(form._replace(reset_before=not form.reset_before))
    if form.num_heads > 1 and form.layer_norm:
        others.append(form._replace(num_heads=1))
    for other in others:
        layer = congru.gates.layer.make_layer(
            "other", other, top.x, top.y, top.weights, tuple(part for part in top.start)
        )
        with pytest.raises(CongruError, match="the equations miss its output"):
            Trace(((layer,),), trace.tokens).check()


@every_form
def test_closed_form_is_the_derivative_of_the_layers_step(name: str) -> None:
    layer, trace = traced(name)
    for row, t in ((0, 0), (1, 4)):
        x = inputs()[row, t]
        expected = torch.autograd.functional.jacobian(
            lambda state, x=x: one_step(layer, x, state), whole_state(layer, trace, row, t)
        )
        np.testing.assert_allclose(trace.jacobians([t], row=row)[0], expected, atol=1e-12)


@every_form
def test_pull_back_is_a_product_with_it(name: str) -> None:
    _, trace = traced(name)
    s = steps_of(trace.top, 0)
    np.testing.assert_allclose(after(s)[:, :H], trace.state[0, 0, 0], atol=1e-12)
    d = np.random.default_rng(1).normal(size=(3, s.size))
    for k in (0, T - 1):
        np.testing.assert_allclose(pull_back(s, k, d), d @ jacobians(s, [k])[0], atol=1e-12)
        np.testing.assert_allclose(pull_back(s, k, d[0]), d[0] @ jacobians(s, [k])[0], atol=1e-12)


@every_form
def test_gradient_flow_is_the_gradient_of_the_run(name: str) -> None:
    """|d_k| against autograd of the rest of the run as a function of the state after step k."""
    layer, trace = traced(name)
    u = np.random.default_rng(3).normal(size=H)
    flow = trace.gradient_flow(u)
    for lag in (1, 3):
        k = T - 1 - lag
        state = whole_state(layer, trace, 0, k + 1).requires_grad_()
        parts = tuple(part[None, None] for part in state.split(H))
        y, _ = layer.eval()(inputs()[:1, k + 1 :], parts if len(parts) == 2 else parts[0])
        (d,) = torch.autograd.grad((y[0, -1] * torch.tensor(u)).sum(), state)
        if layer.cell == "lstm":  # by the cell, which shows itself in its own h
            h, c = state.detach().split(H)
            shown = shown_slope(layer, trace, k)
            d = d[H:] + d[:H] @ shown
            assert torch.allclose(h, torch.tensor(trace.top.y[0, k]))
            assert c.shape == (H,)
        assert flow.gradient[lag] == pytest.approx(float(d.norm()), rel=1e-9)


def shown_slope(layer: Any, trace: Trace, k: int) -> torch.Tensor:
    """d(new h) / d(new c) of an LSTM's step k while its output gate is held, by finite differences of the layer's equation."""
    o = torch.tensor(trace.gate("o")[0, 0, 0, k])
    i, f, g = (torch.tensor(trace.gate(letter)[0, 0, 0, k]) for letter in "ifg")
    c = f * torch.tensor(trace.top.recovered.state_prev[1][0, k]) + i * g

    def h_of(c: torch.Tensor) -> torch.Tensor:
        if not layer.layer_norm:
            return o * torch.tanh(c)
        heads = c.reshape(layer.num_heads, -1)
        hat = torch.nn.functional.layer_norm(heads, heads.shape[1:], eps=1e-5).reshape(-1)
        return o * torch.tanh(layer.gain_c_l0.detach() * hat + layer.bias_c_l0.detach())

    return torch.autograd.functional.jacobian(h_of, c)


@every_form
def test_shares_are_complete(name: str) -> None:
    """Sum of shares + start = the output asked about, to rounding, with new starts inside the row too."""
    layer, _ = traced(name)
    if layer.cell == "rnn":
        return
    u = np.random.default_rng(4).normal(size=H)
    reset = torch.zeros(B, T, dtype=torch.bool)
    for resets in ([], [3]):
        reset[:, resets] = True
        trace = congru.inspect(layer, inputs(), h0=starts(layer), reset=reset)
        if layer.cell == "gru":
            memory = trace.memory(u)
            assert memory.output == pytest.approx(float(u @ trace.state[0, 0, 0, -1]), abs=1e-12)
            assert abs(memory.residual) < 1e-12
            continue
        cell = trace.memory(u, on="cell")  # u . c
        assert cell.output == pytest.approx(float(u @ trace.memory_state[0, 0, 0, -1]), abs=1e-12)
        assert abs(cell.residual) < 1e-12


@pytest.mark.parametrize("kind", ["last", "mean", "steps"])
@pytest.mark.parametrize("name", ["lstm, zoneout", "lstm, heads"])
def test_an_lstms_output_through_its_zoneout(name: str, kind: str) -> None:
    """Its h keeps a share of the old h too: shares of an output follow both ways and leave nothing over."""
    from gates_cases import with_readout

    layer = layer_of(name)
    reset = torch.zeros(B, T, dtype=torch.bool)
    reset[:, 3] = True
    random = np.random.default_rng(5)
    head = congru.gates.readout.Readout("head", kind, random.normal(size=(2, H)), random.normal(size=2))
    for options in ({}, {"reset": reset}):
        trace = with_readout(congru.inspect(layer, inputs(), h0=starts(layer), **options), head)
        memory = trace.memory(1, on="cell")
        assert abs(memory.residual) < 1e-12
        assert (memory.start != 0) == (not options or kind == "mean")  # a new start is zeros
        # The carry path of the flow is the derivative of the same sum while gates are held.
        assert trace.gradient_flow(1).carry[0] > 0


def test_the_carry_path_of_an_lstm_with_zoneout_is_the_derivative_with_gates_held() -> None:
    layer, trace = traced("lstm, zoneout")
    u = np.random.default_rng(6).normal(size=H)
    gates = [torch.tensor(gate[0]) for gate in trace.top.recovered.gates]
    p = layer.zoneout

    def run_from(k: int, c_shift: torch.Tensor) -> torch.Tensor:
        """u . h_T when c~ of step k is shifted and every gate stays as it was; a shift of c' is 1 / (1 - p) of it."""
        h, c = (torch.tensor(part[0, 0]) for part in trace.top.recovered.state_prev)
        for t in range(T):
            i, f, g, o = (gate[t] for gate in gates)
            new = f * c + i * g + (c_shift / (1 - p) if t == k else 0.0)
            h, c = p * h + (1 - p) * o * torch.tanh(new), p * c + (1 - p) * new
        return torch.tensor(u) @ h

    carried = trace.gradient_flow(u).carry
    for lag in (0, 2, T - 1):
        d = torch.autograd.functional.jacobian(
            lambda shift, lag=lag: run_from(T - 1 - lag, shift), torch.zeros(H, dtype=torch.float64)
        )
        assert carried[lag] == pytest.approx(float(d.norm()), rel=1e-10)


def test_an_lstm_with_layer_norm_says_which_shares_it_has() -> None:
    _, trace = traced("lstm, layer norm")
    from gates_cases import with_readout

    head = congru.gates.readout.Readout("head", "last", np.ones((2, H)), np.zeros(2))
    message = r"an output of an LSTM with layer norm, expected target=u \[D\*H\] with on='cell'"
    with pytest.raises(CongruError, match=message):
        with_readout(trace, head).memory(0, on="cell")


@every_form
def test_a_held_gate_is_what_the_equations_make_of_it(name: str) -> None:
    """Nothing held: the run itself. keep = 1 in a GRU: the start stays, whatever zoneout adds."""
    layer, trace = traced(name)
    same = trace.clamp(
        "candidate", steps=[0], units=[0], value=float(np.clip(trace.candidate[0, 0, 0, 0, 0], -1, 1))
    )
    np.testing.assert_allclose(same.states[1][0], trace.state[0, 0, 0], atol=1e-12)
    if layer.cell == "gru":
        frozen = trace.clamp("keep", value=1.0).states[1]
        np.testing.assert_allclose(frozen, np.repeat(starts(layer)[0].numpy()[:, None], T, 1), atol=1e-12)
        half = trace.clamp("keep", value=0.5, steps=[0]).states[1]
        expected = 0.5 * starts(layer)[0].numpy() + 0.5 * trace.candidate[0, 0, :, 0]
        np.testing.assert_allclose(half[:, 0], expected, atol=1e-12)


@every_form
def test_fixed_points_are_at_rest_in_the_layer_itself(name: str) -> None:
    layer, trace = traced(name)
    points = trace.fixed_points(starts=4)
    for point in points.points:
        x = torch.tensor(points.x)
        moved = one_step(layer, x, torch.tensor(point.state)).detach().numpy() - point.state
        assert np.abs(moved).max() < 1e-5
    if layer.cell == "lstm" and layer.layer_norm:
        return  # the norm of c takes directions away: the determinant is 0
    logs = np.linalg.slogdet(trace.jacobians())[1]
    assert trace.lyapunov(trace.jacobians().shape[1]).exponents.sum() == pytest.approx(logs.mean(), abs=1e-8)


@every_form
def test_stacks_in_both_directions(name: str) -> None:
    layer = layer_of(name, num_layers=2, bidirectional=True)
    trace = congru.inspect(layer, inputs(), lengths=[T, 4])
    y, _ = layer.eval()(inputs(), lengths=torch.tensor([T, 4]))
    np.testing.assert_allclose(trace.top_output, y.detach(), atol=1e-12)
    assert trace.check(1e-12) < 1e-12


PAGES = ["gru, layer norm, reset before", "gru, dreamer, zoneout", "lstm, all", "rnn, heads, zoneout"]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_which_equations_ran(name: str, tmp_path: Path) -> None:
    """Every chapter is written for every form, with the form's own equations and its limits."""
    layer, trace = traced(name)
    page = trace.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert trace.top.form.title in page
    about = page.split('<section id="about"')[1].split("</section>")[0]
    assert ("norm(" in about) == bool(layer.layer_norm)
    assert (f"p = {layer.zoneout:g}" in about) == bool(layer.zoneout)
    assert trace.top.form.title in repr(trace)
    assert trace.text()
    assert trace.summary()


def test_forms_and_weights_that_do_not_exist_have_their_line() -> None:
    with pytest.raises(SettingsError, match=r"zoneout is 1\.0, expected 0 up to, not including 1"):
        as_form(Form("gru", zoneout=1.0))
    with pytest.raises(SettingsError, match="layer_norm is True, expected False for rnn"):
        as_form(Form("rnn", layer_norm=True))
    with pytest.raises(SettingsError, match="num_heads or zoneout is given for mingru, expected none"):
        as_form(Form("mingru", zoneout=0.1))
    ones = (np.ones((6, 1)), np.ones((6, 2)), None, None)
    with pytest.raises(
        ShapeError, match=r"weights has 4 parts, expected 6 for gru: pass \(W, U, b_i, b_h, g_i"
    ):
        as_weights(Form("gru", layer_norm=True), ones, float)
    with pytest.raises(ShapeError, match="g_i is None, expected the gain of layer norm"):
        as_weights(Form("gru", layer_norm=True), (*ones, None, np.ones(6)), float)
    with pytest.raises(ShapeError, match=r"g_h has shape \(5,\), expected \[3H\] = \(6,\)"):
        as_weights(Form("gru", layer_norm=True), (*ones, np.ones(6), np.ones(5)), float)
    with pytest.raises(ShapeError, match=r"U has shape \(6, 2\), expected \[3H, H/num_heads\] = \(6, 1\)"):
        recover(Form("gru", num_heads=2), np.ones((1, 2, 1)), np.ones((1, 2, 2)), ones)
    assert Stack("gru", [[ones]], num_heads=1).form == Form("gru")


@pytest.mark.parametrize(
    "name", ["gru, reset before, all", "lstm, all", "gru, dreamer", "rnn, heads, zoneout"]
)
def test_a_model_folder_gives_the_same_trace(name: str, tmp_path: Path) -> None:
    from runtime_models import recurrent, save

    kind, options = FORMS[name]
    layer = layer_of(name, torch.float32)
    weights = {f"rnn.{key}": part.detach().numpy() for key, part in layer.named_parameters()}
    config = {"layers": [recurrent(kind.lower(), I, H, **options)]}
    network = congru.runtime.network.Network(config, weights)
    golden = congru.runtime.golden.make_golden(config, network.run)
    save(tmp_path / "model", config, weights={"main": weights}, golden={"main": golden})
    x = inputs().float()
    folder, ours = congru.inspect(str(tmp_path / "model"), x.numpy()), congru.inspect(layer, x)
    assert folder.check(1e-6) <= 1e-6
    np.testing.assert_allclose(folder.state, ours.state, atol=1e-6)
    np.testing.assert_allclose(folder.candidate, ours.candidate, atol=2e-6)
