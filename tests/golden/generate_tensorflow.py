"""Golden cases of TensorFlow 1's cells (tf.compat.v1.nn.rnn_cell) and of Sonnet 2. Needs TensorFlow 2.15 or older."""

from __future__ import annotations

from typing import Any

import numpy as np
import sonnet
import tensorflow as tf
from case_file import GoldenCase, about, draw, record_versions, save

B, T, I, H = 3, 5, 3, 4
X = draw(100, B, T, I)
STATES = tuple(draw(101 + k, 1, B, H) for k in range(2))
CELLS = tf.compat.v1.nn.rnn_cell


def generate_tensorflow1(cell: str, kind: Any) -> None:
    start = STATES if cell == "lstm" else STATES[:1]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        core = kind(H)
        h = tf.constant(start[0][0])
        state = CELLS.LSTMStateTuple(tf.constant(start[1][0]), h) if cell == "lstm" else h
        ys = []
        for t in range(T):
            y, state = core(tf.constant(X[:, t]), state)
            ys.append(y)
        arrays = {}
        for seed, variable in enumerate(sorted(core.weights, key=lambda part: part.name)):
            name = "/".join(variable.name.split(":")[0].split("/")[1:])
            arrays[name] = draw(seed, *variable.shape)
            session.run(variable.assign(arrays[name]))
        final = (state.h, state.c) if cell == "lstm" else (state,)
        y, final = session.run((tf.stack(ys, axis=1), final))
    save(
        f"tensorflow1_{cell}",
        GoldenCase(about("tensorflow1", cell), X, None, start, [arrays], y, tuple(p[None] for p in final)),
    )


def generate_sonnet(cell: str, core: Any, names: dict[str, str]) -> None:
    """`names`: what a variable is called here -> its name in the case."""
    start = STATES if cell == "lstm" else STATES[:1]
    first = sonnet.LSTMState(*(part[0] for part in start)) if cell == "lstm" else start[0][0]
    first = tf.nest.map_structure(tf.constant, first)
    core(tf.constant(X[:, 0]), first)
    arrays = {}
    for seed, variable in enumerate(sorted(core.variables, key=lambda part: part.name)):
        name = names.get(variable.name.split(":")[0], variable.name.split(":")[0])
        arrays[name.partition("/")[2]] = value = draw(seed, *variable.shape)
        variable.assign(value)
    state, ys = first, []
    for t in range(T):
        y, state = core(tf.constant(X[:, t]), state)
        ys.append(y.numpy())
    final = tuple(state) if cell == "lstm" else (state,)
    save(
        f"sonnet_{cell}",
        GoldenCase(
            about("sonnet", cell), X, None, start, [arrays], np.stack(ys, axis=1),
            tuple(part.numpy()[None] for part in final),
        ),
    )  # fmt: skip


if __name__ == "__main__":
    generate_tensorflow1("gru", CELLS.GRUCell)
    generate_tensorflow1("lstm", CELLS.BasicLSTMCell)
    generate_tensorflow1("rnn", CELLS.BasicRNNCell)
    generate_sonnet("gru", sonnet.GRU(H), {})
    generate_sonnet("lstm", sonnet.LSTM(H), {})
    generate_sonnet("rnn", sonnet.VanillaRNN(H), {})
    record_versions("generate_tensorflow.py", "tensorflow-cpu", "dm-sonnet")
