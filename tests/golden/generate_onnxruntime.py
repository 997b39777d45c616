"""Golden cases of onnxruntime: GRU with both linear_before_reset, clip, sequence_lens; LSTM and RNN."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from case_file import GoldenCase, about, draw, record_versions, save
from onnx import TensorProto, helper

B, T, I, H = 3, 5, 3, 4
LENGTHS = np.array([5, 1, 3], np.int32)
GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
DIRECTIONS = {"forward": 1, "bidirectional": 2}


def run(operator: str, feeds: dict[str, np.ndarray], attributes: dict[str, Any]) -> list[np.ndarray]:
    """Run one operator; an input that is not fed is left out."""
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h"] + ["initial_c"] * (operator == "LSTM")
    outputs = ["Y", "Y_h"] + ["Y_c"] * (operator == "LSTM")
    node = helper.make_node(
        operator, [n if n in feeds else "" for n in order], outputs, hidden_size=H, **attributes
    )
    types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
    inputs = [
        helper.make_tensor_value_info(n, types[feeds[n].dtype], feeds[n].shape) for n in order if n in feeds
    ]
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    graph = helper.make_graph([node], "golden", inputs, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def generate(
    name: str,
    operator: str,
    direction: str = "forward",
    lengths: np.ndarray | None = None,
    clip: float | None = None,
    **attributes: int,
) -> None:
    G, D = GATES[operator], DIRECTIONS[direction]
    feeds = {
        "X": draw(100, B, T, I).swapaxes(0, 1).copy(),
        "W": draw(0, D, G * H, I),
        "R": draw(1, D, G * H, H),
        "B": draw(2, D, 2 * G * H),
    }
    if lengths is not None:
        feeds["sequence_lens"] = lengths
    state = tuple(draw(101 + k, D, B, H) for k in range(2 if operator == "LSTM" else 1))
    feeds |= dict(zip(("initial_h", "initial_c"), state))
    clipping = {} if clip is None else {"clip": clip}
    y, *final = run(operator, feeds, {"direction": direction, **attributes, **clipping})
    y = np.concatenate([y[:, d] for d in range(D)], axis=2).swapaxes(0, 1)
    description = about("onnx", operator.lower(), num_directions=D, clip=clip, options=attributes)
    arrays = [{part: feeds[part][d : d + 1] for part in ("W", "R", "B")} for d in range(D)]
    save(name, GoldenCase(description, feeds["X"].swapaxes(0, 1), lengths, state, arrays, y, tuple(final)))


if __name__ == "__main__":
    for linear in (0, 1):
        form = {"linear_before_reset": linear}
        generate(f"onnx_gru_lbr{linear}", "GRU", **form)
        generate(f"onnx_gru_lbr{linear}_both_lengths", "GRU", "bidirectional", LENGTHS, **form)
        generate(f"onnx_gru_lbr{linear}_clip", "GRU", "bidirectional", clip=0.8, **form)
    generate("onnx_lstm", "LSTM")
    generate("onnx_lstm_both_lengths", "LSTM", "bidirectional", LENGTHS)
    generate("onnx_rnn_both_lengths", "RNN", "bidirectional", LENGTHS)
    record_versions("generate_onnxruntime.py", "onnx", "onnxruntime")
