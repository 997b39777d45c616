"""How other libraries store a GRU, LSTM or RNN: the table that `congru.reference.conventions` reads and writes by.

| GRU of                    | reset          | z     | rows    | biases            |
|---------------------------|----------------|-------|---------|-------------------|
| pytorch, cudnn            | after          | keep  | r, z, n | two               |
| keras                     | reset_after    | keep  | z, r, n | two / one         |
| onnx                      | linear_before_reset | keep | z, r, n | two            |
| tensorflow1 (GRUCell)     | before         | keep  | r, z, n | one               |
| flax (linen)              | after          | keep  | r, z, n | one and b_hn      |
| flax_nnx                  | after          | keep  | r, z, n | one, no b_hn      |
| equinox, mlx, ncnn        | after          | keep  | r, z, n | one and b_hn      |
| haiku, sonnet (2)         | before         | write | z, r, n | one               |
| onednn_gru                | before         | keep  | z, r, n | one               |
| onednn_lbr_gru            | after          | keep  | z, r, n | one and b_hn      |

| LSTM of                                          | rows       | biases | added to the forget gate    |
|--------------------------------------------------|------------|--------|-----------------------------|
| pytorch, cudnn                                   | i, f, g, o | two    |                             |
| keras, equinox, mlx, sonnet, onednn              | i, f, g, o | one    |                             |
| flax, flax_nnx                                   | i, f, g, o | one, on the recurrent side |         |
| onnx                                             | i, o, f, g | two    |                             |
| ncnn                                             | i, f, o, g | one    |                             |
| tensorflow1 (BasicLSTMCell, LSTMCell)            | i, g, f, o | one    | forget_bias, 1 unless given |
| haiku                                            | i, g, f, o | one    | 1                           |

The plain RNN is "rnn" (tanh) or "rnn_relu"; haiku's VanillaRNN is a relu RNN, equinox has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from congru.reference import layouts, lstm_layouts
from congru.reference.layouts import Layout

ROWS = {"gru": "rzn", "lstm": "ifgo", "rnn": "n", "rnn_relu": "n"}
FORGET_BIAS = "forget_bias"


class System(NamedTuple):
    """One row of the table: row order per cell, reset form, sense of z, and the options a caller may pass.

    `reset` is "after", "before", or the option that chooses, with the values that mean (after, before, not
    given). `must_be` has each other option's value in the canonical cell; a dict where it depends on the
    cell, and leaves out the cells that have no such option. `layouts` has the cells stored in another way than `layout`;
    `forget_bias` is what the library's LSTM adds to its forget gate.
    """

    rows: dict[str, str]
    layout: Layout
    layouts: dict[str, Layout] = {}  # noqa: RUF012 (a NamedTuple's default, never written)
    reset: str = "after"
    reset_values: tuple[Any, Any, Any] = (None, None, None)
    z: str = "keep"
    positions: tuple[str, ...] = ()
    must_be: dict[str, Any] = {}  # noqa: RUF012
    forget_bias: float = 0.0

    def layout_of(self, cell: str) -> Layout:
        """How it stores that cell."""
        return self.layouts.get(cell, self.layout)


_PYTORCH = System(ROWS, layouts.PYTORCH)
# The classes of Keras that hold a cell.
KERAS_CELLS = {
    "GRU": "gru",
    "LSTM": "lstm",
    "SimpleRNN": "rnn",
    "GRUCell": "gru",
    "LSTMCell": "lstm",
    "SimpleRNNCell": "rnn",
}
_KERAS = System(
    {**ROWS, "gru": "zrn"},
    layouts.KERAS,
    reset="reset_after",
    reset_values=(True, False, True),
    must_be={
        "activation": {"gru": "tanh", "lstm": "tanh", "rnn": "tanh", "rnn_relu": "relu"},
        "recurrent_activation": {"gru": "sigmoid", "lstm": "sigmoid"},
    },
)
_ONNX = System(
    {**ROWS, "gru": "zrn", "lstm": "iofg"},
    layouts.ONNX,
    reset="linear_before_reset",
    reset_values=(1, 0, 0),
    positions=("direction",),
    must_be={
        "clip": dict.fromkeys(ROWS),
        "input_forget": dict.fromkeys(ROWS, 0),
        "activations": {
            "gru": ["Sigmoid", "Tanh"],
            "lstm": ["Sigmoid", "Tanh", "Tanh"],
            "rnn": ["Tanh"],
            "rnn_relu": ["Relu"],
        },
    },
)
_LAYER_AND_DIRECTION = ("layer", "direction")
SYSTEMS = {
    "pytorch": _PYTORCH,
    "cudnn": _PYTORCH,
    "keras": _KERAS,
    "onnx": _ONNX,
    "tensorflow1": System(
        {**ROWS, "lstm": "igfo"},
        lstm_layouts.TENSORFLOW1_RNN,
        {"gru": layouts.TENSORFLOW1, "lstm": lstm_layouts.TENSORFLOW1_LSTM},
        reset="before",
        forget_bias=1.0,
    ),
    "flax": System(ROWS, lstm_layouts.FLAX_RNN, {"gru": layouts.FLAX, "lstm": lstm_layouts.FLAX_LSTM}),
    # nnx.LSTMCell stores as linen's (its `if_` is `if`); this is nnx.OptimizedLSTMCell, GRUCell and SimpleCell.
    "flax_nnx": System(ROWS, lstm_layouts.NNX_GRU, {"lstm": lstm_layouts.NNX_LSTM}),
    "equinox": System({"gru": "rzn", "lstm": "ifgo"}, layouts.EQUINOX, {"lstm": lstm_layouts.EQUINOX_LSTM}),
    "mlx": System(ROWS, lstm_layouts.MLX_RNN, {"gru": layouts.MLX, "lstm": lstm_layouts.MLX_LSTM}),
    "haiku": System(
        {"gru": "zrn", "lstm": "igfo", "rnn_relu": "n"},
        layouts.HAIKU,
        {"lstm": lstm_layouts.HAIKU_LSTM, "rnn_relu": lstm_layouts.HAIKU_RNN},
        reset="before",
        z="write",
        forget_bias=1.0,
    ),
    "sonnet": System(
        {**ROWS, "gru": "zrn"},
        lstm_layouts.SONNET_RNN,
        {"gru": layouts.HAIKU, "lstm": lstm_layouts.SONNET_LSTM},
        reset="before",
        z="write",
    ),
    "onednn_gru": System({"gru": "zrn"}, layouts.ONEDNN_GRU, reset="before", positions=_LAYER_AND_DIRECTION),
    "onednn_lbr_gru": System({"gru": "zrn"}, layouts.ONEDNN_LBR_GRU, positions=_LAYER_AND_DIRECTION),
    "onednn": System(
        {"lstm": "ifgo", "rnn": "n", "rnn_relu": "n"},
        lstm_layouts.ONEDNN_RNN,
        {"lstm": lstm_layouts.ONEDNN_LSTM},
        positions=_LAYER_AND_DIRECTION,
    ),
    "ncnn": System(
        {"gru": "rzn", "lstm": "ifog", "rnn": "n"},
        layouts.NCNN_RNN,
        {"gru": layouts.NCNN_GRU, "lstm": layouts.NCNN_LSTM},
        positions=("direction",),
    ),
}
