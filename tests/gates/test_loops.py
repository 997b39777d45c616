"""Models that call their layer or cell in a loop, as every decoder does: one run where the calls connect, one line where not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.errors import CongruError
from congru.gates.form import GATES

B, T, I, H = 3, 6, 4, 5


def inputs(*sizes: int) -> torch.Tensor:
    return torch.randn(*(sizes or (B, T, I)), generator=torch.Generator().manual_seed(0))


class Looped(torch.nn.Module):
    """A layer or cell over the steps of x, one call for each of `sizes`; `change` edits the state between calls."""

    def __init__(self, rnn: Any, sizes: list[int], change: Any = None, h0: Any = None) -> None:
        super().__init__()
        self.rnn, self.sizes, self.change, self.h0 = rnn, sizes, change, h0
        self.head = torch.nn.Linear(rnn.hidden_size, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state, outputs, is_cell = self.h0, [], hasattr(self.rnn, "weight_ih")
        for k, part in enumerate(x.split(self.sizes, 1)):
            if k and self.change is not None:
                state = self.change(k, state)
            if is_cell:
                state = self.rnn(part[:, 0], state)
                outputs.append((state if torch.is_tensor(state) else state[0])[:, None])
            else:
                y, state = self.rnn(part, state)
                outputs.append(y)
        return self.head(torch.cat(outputs, 1))


CELLS = {
    "torch GRUCell": (torch.nn.GRUCell, torch.nn.GRU),
    "torch LSTMCell": (torch.nn.LSTMCell, torch.nn.LSTM),
    "torch RNNCell": (torch.nn.RNNCell, torch.nn.RNN),
    "GRUCell": (congru.nn.GRUCell, congru.nn.GRU),
    "LSTMCell": (congru.nn.LSTMCell, congru.nn.LSTM),
    "RNNCell": (congru.nn.RNNCell, congru.nn.RNN),
    "MinGRUCell": (congru.nn.MinGRUCell, congru.nn.MinGRU),
}


def as_layer(cell: Any, layer_type: Any, **options: Any) -> Any:
    """The layer with the cell's weights."""
    layer = layer_type(I, H, batch_first=True, **options)
    layer.load_state_dict({f"{name}_l0": part for name, part in cell.state_dict().items()})
    return layer


def assert_same(trace: Any, other: Any, tolerance: float = 1e-6) -> None:
    assert trace.shape == other.shape
    np.testing.assert_allclose(trace.state, other.state, atol=tolerance)
    for letter in GATES[trace.cell]:
        np.testing.assert_allclose(trace.gate(letter), other.gate(letter), atol=tolerance)


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_in_a_loop_is_its_layer(kind: str) -> None:
    torch.manual_seed(0)
    cell_type, layer_type = CELLS[kind]
    cell = cell_type(I, H)
    trace = congru.inspect(Looped(cell, [1] * T), inputs())
    assert trace.layer_names == ("rnn",)
    assert trace.check() <= 1e-6
    assert_same(trace, congru.inspect(as_layer(cell, layer_type), inputs()))
    assert trace.readout.kind == "steps"
    assert_same(congru.inspect(cell, inputs()), trace)  # a bare cell is run over the steps


@pytest.mark.parametrize(
    "options", [{"layer_norm": True}, {"layer_norm": True, "num_heads": 5, "reset_before": True}]
)
def test_cells_with_options(options: dict[str, Any]) -> None:
    cell = congru.nn.GRUCell(I, H, **options)
    trace = congru.inspect(Looped(cell, [1] * T), inputs())
    assert trace.check() <= 1e-6
    assert_same(trace, congru.inspect(as_layer(cell, congru.nn.GRU, **options), inputs()))


@pytest.mark.parametrize("layer_type", [torch.nn.GRU, torch.nn.LSTM, congru.nn.GRU, congru.nn.LSTM])
@pytest.mark.parametrize("sizes", [[1] * T, [2, 4], [3, 1, 2]])
def test_a_layer_in_parts_is_the_layer_whole(layer_type: Any, sizes: list[int]) -> None:
    layer = layer_type(I, H, 2, batch_first=True)
    start = 0.5 * inputs(2, B, H)
    h0 = (start, -start) if "LSTM" in layer_type.__name__ else start
    trace = congru.inspect(Looped(layer, sizes, h0=h0), inputs())
    assert trace.check() <= 1e-6
    assert_same(trace, congru.inspect(layer, inputs(), h0=h0))
    assert abs(trace.memory(1, on="cell" if trace.cell == "lstm" else "state").residual) < 1e-5
    assert not layer._forward_hooks


def test_a_model_that_writes_into_its_state_afterwards_is_read_before() -> None:
    """Arrays are taken when the call is made: what the model does to its tensors later is not in the record."""

    class Careless(Looped):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y, _ = self.rnn(x)
            states = y.clone()
            x.zero_()
            y.zero_()
            return self.head(states)

    layer = torch.nn.GRU(I, H, batch_first=True)
    model = Careless(layer, [T])
    trace = congru.inspect(model, inputs())
    assert trace.check() <= 1e-6
    assert np.abs(trace.x).max() > 0
    assert np.abs(trace.state).max() > 0


def shift_a_row(k: int, state: torch.Tensor) -> torch.Tensor:
    changed = state.clone()
    if k == 3:
        changed[..., 1, :] += 1e-6
    return changed


def swap_rows(k: int, state: torch.Tensor) -> torch.Tensor:
    return state[..., [1, 0, 2], :] if k == 2 else state


BREAKS = {
    "edited": (shift_a_row, r"rnn runs 6 times in one pass of the model and call 4 begins from another state than "
               r"call 3 returned \(1 of 3 rows differ\), expected the state that the call before it returned, unchanged: pass "
               r"layer='rnn calls 4 to 6' for one unbroken run \(2 in all\)"),
    "beam": (swap_rows, "call 3 begins with the rows of call 2 in another order, as a beam search does"),
    "new start": (lambda k, state: None if k == 4 else state, r"call 5 begins from a new start \(hx=None\)"),
}  # fmt: skip


@pytest.mark.parametrize("cell", [True, False])
@pytest.mark.parametrize("name", BREAKS)
def test_calls_that_do_not_connect_have_their_line(name: str, cell: bool) -> None:
    change, message = BREAKS[name]
    rnn = torch.nn.GRUCell(I, H) if cell else torch.nn.GRU(I, H, batch_first=True)
    model = Looped(rnn, [1] * T, change)
    with pytest.raises(CongruError, match=message):
        congru.inspect(model, inputs())
    with pytest.raises(CongruError, match=message) as caught:
        congru.inspect(model, inputs(), layer="rnn")
    run = re.search(r"layer='(.*?)'", str(caught.value)).group(1)
    trace = congru.inspect(model, inputs(), layer=run)
    assert trace.check() <= 1e-6
    first = {"edited": 3, "beam": 2, "new start": 4}[name]
    assert trace.shape == (1, 1, B, T - first, H)
    start = np.zeros((B, H)) if name == "new start" else None
    if start is not None:
        np.testing.assert_array_equal(trace.top.start[0], start)
    else:
        assert np.abs(trace.top.start[0]).max() > 0


def test_other_calls_that_do_not_connect() -> None:
    both = torch.nn.GRU(I, H, batch_first=True, bidirectional=True)

    class Halves(torch.nn.Module):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.rnn, self.options = both if not options else congru.nn.GRU(I, H, batch_first=True), options

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, state = self.rnn(x, **self.options)
            return self.rnn(x, state, **self.options)[0]

    with pytest.raises(CongruError, match=r"rnn runs 2 times .* call 2 reads its part in both directions"):
        congru.inspect(Halves(), inputs())
    padded = Halves(lengths=torch.tensor([T, 2, 3]))
    with pytest.raises(CongruError, match="call 2 or the one before it has padding"):
        congru.inspect(padded, inputs())
    assert congru.inspect(padded, inputs(), layer="rnn call 2").lengths.tolist() == [T, 2, 3]

    class Fewer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.GRUCell(I, H)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.cell(x[:, 0])
            return self.cell(x[:2, 1], h[:2])

    with pytest.raises(CongruError, match="call 2 has 2 rows after 3"):
        congru.inspect(Fewer(), inputs())


class Translator(torch.nn.Module):
    """An encoder, and a decoder of embedding, attention over the encoder's states and a GRUCell, fed its own words."""

    def __init__(self, words: int, steps: int, bridge: bool) -> None:
        super().__init__()
        self.bridge = torch.nn.Linear(H, H) if bridge else torch.nn.Identity()
        self.embed = torch.nn.Embedding(words, I)
        self.encoder = torch.nn.GRU(I, H, batch_first=True)
        self.query = torch.nn.Linear(H, H)
        self.decoder = torch.nn.GRUCell(I + H, H)
        self.head = torch.nn.Linear(H, words)
        self.steps = steps

    def forward(self, source: torch.Tensor) -> list[torch.Tensor]:
        memory, h = self.encoder(self.embed(source))
        h, word, logits = self.bridge(h[0]), source.new_zeros(len(source)), []
        for _ in range(self.steps):
            weight = torch.softmax((memory @ self.query(h)[:, :, None])[:, :, 0], 1)
            context = (weight[:, :, None] * memory).sum(1)
            h = self.decoder(torch.cat([self.embed(word), context], 1), h)
            logits.append(self.head(h))
            word = logits[-1].argmax(1)
        return logits


@pytest.mark.parametrize(("steps", "bridge"), [(7, False), (T, True)])
def test_a_decoder_with_attention_end_to_end(steps: int, bridge: bool, tmp_path: Path) -> None:
    """Gates against the cell run by hand; the read-out found in the list of logits; the encoder apart, whatever its length."""
    torch.manual_seed(0)
    model = Translator(9, steps, bridge)
    source = torch.randint(1, 9, (2, T), generator=torch.Generator().manual_seed(1))
    words = [f"w{k}" for k in range(9)]
    trace = congru.inspect(model, source, labels=words)
    assert trace.layer_names == ("encoder", "decoder")
    assert trace.shape == (1, 1, 2, steps, H)
    assert trace.check() <= 1e-6
    with torch.no_grad():
        memory, h = model.encoder(model.embed(source))
        np.testing.assert_array_equal(trace.top.start[0], model.bridge(h[0]).numpy())
        logits = torch.stack(model(source), 1).numpy()
    assert trace.readout.kind == "steps"
    top = trace.memory(at=2)
    assert top.output == pytest.approx(float(logits[0, 2].max()), abs=1e-5)
    assert top.target == words[int(logits[0, 2].argmax())]
    assert abs(top.residual) < 1e-5
    encoder = congru.inspect(model, source, layer="encoder")
    assert encoder.shape == (1, 1, 2, T, H)
    np.testing.assert_allclose(encoder.state[0, 0], memory.numpy(), atol=1e-6)
    # The Jacobian of a step inside the loop against autograd of the cell.
    x, h_prev = (torch.tensor(part[1, 3]) for part in (trace.x, trace.top.recovered.state_prev[0]))
    J = torch.autograd.functional.jacobian(lambda h: model.decoder(x[None], h[None])[0], h_prev)
    np.testing.assert_allclose(trace.jacobians([3], row=1)[0], J, atol=1e-5)
    if bridge:
        return
    page = trace.report(tmp_path / "decoder.html").read_text(encoding="utf-8")
    assert "decoder (GRU)" in page
    assert "encoder, decoder" in page
    assert "joined from" in page
    assert trace.text()


def test_a_decoder_that_is_told_every_word_is_no_second_layer_of_its_encoder() -> None:
    """As many steps, as many calls and units as the encoder: it begins where the encoder ended, so it is another time."""

    class Taught(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = (torch.nn.GRU(I, H, batch_first=True) for _ in range(2))

        def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return self.decoder(target, self.encoder(source)[1])[0]

    trace = congru.inspect(Taught(), (inputs(), inputs() + 1))
    assert trace.shape == (1, 1, B, T, H)
    assert trace.top.name == "decoder"


def test_two_cells_in_one_loop_are_a_stack() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = torch.nn.LSTMCell(I, H), torch.nn.LSTMCell(H, H)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            low = high = None
            for t in range(x.shape[1]):
                low = self.low(x[:, t], low)
                high = self.high(low[0], high)
            return high[0]

    model = Two()
    trace = congru.inspect(model, inputs())
    assert trace.shape == (2, 1, B, T, H)
    assert trace.check() <= 1e-6
    whole = torch.nn.LSTM(I, H, 2, batch_first=True)
    weights = {f"{name}_l0": part for name, part in model.low.state_dict().items()}
    whole.load_state_dict(weights | {f"{name}_l1": part for name, part in model.high.state_dict().items()})
    assert_same(trace, congru.inspect(whole, inputs()))
    held = trace.clamp("keep", value=0.0, layer=0)
    assert held.moved.max() > 0
