"""Keras layers and models, run by Keras itself: the equations must give what its own call returned."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

import congru
from congru.errors import CongruError, ConventionError

# NumPy 2 says so of the tensors that Keras hands it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def with_keras():
    """Keras and its layers as names of this file; imported by the first test, as collecting the others takes seconds less so."""
    global keras, layers
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras", reason="keras is not installed: pip install keras")
    layers = keras.layers


def made(layer, x=X):
    """The layer with weights that are not zero."""
    layer.build(x.shape)
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=part.shape) for part in layer.get_weights()])
    return layer


def returned(layer, x=X, **options):
    result = layer(keras.ops.convert_to_tensor(x), **options)
    return keras.ops.convert_to_numpy(result[0] if isinstance(result, (list, tuple)) else result)


CASES = {
    "GRU": lambda **o: layers.GRU(4, **o),
    "GRU reset before": lambda **o: layers.GRU(4, reset_after=False, **o),
    "LSTM": lambda **o: layers.LSTM(4, **o),
    "SimpleRNN relu": lambda **o: layers.SimpleRNN(4, activation="relu", **o),
    "backwards": lambda **o: layers.GRU(4, go_backwards=True, **o),
    "RNN of a cell": lambda **o: layers.RNN(layers.LSTMCell(4), **o),
    "both ways": lambda **o: layers.Bidirectional(layers.GRU(4, **o)),
}


@pytest.mark.parametrize("every_step", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_a_layer_gives_what_keras_returned(name, every_step):
    layer = made(CASES[name](return_sequences=every_step))
    trace = congru.inspect(layer, X)
    assert trace.check() <= 1e-6
    theirs = returned(layer)
    ours = trace.top_output
    if name == "backwards" and every_step:
        theirs = theirs[:, ::-1]
    if every_step:
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    elif name != "both ways":
        np.testing.assert_allclose(ours[:, 0 if name == "backwards" else -1], theirs, atol=1e-6)


def test_a_first_state_is_handed_on():
    layer = made(layers.LSTM(4, return_sequences=True))
    h, c = np.full((2, 4), 0.4, np.float32), np.full((2, 4), -0.9, np.float32)
    trace = congru.inspect(layer, X, h0=(h[None], c[None]))
    assert trace.check() <= 1e-6
    np.testing.assert_allclose(trace.top_output, returned(layer, initial_state=[h, c]), atol=1e-6)


@pytest.mark.parametrize("every_step", [True, False])
def test_a_subclass_with_another_call_does_not_pass(every_step):
    class Halved(layers.GRU):
        """Right weights, another function: its call returns half of every state."""

        def call(self, *arguments, **keywords):
            return 0.5 * super().call(*arguments, **keywords)

    with pytest.raises(CongruError, match="the equations miss its output by"):
        congru.inspect(made(Halved(4, return_sequences=every_step)), X).check()


def test_cells_on_top_of_each_other_and_a_whole_model():
    layer = made(layers.RNN([layers.GRUCell(4), layers.LSTMCell(3)], return_sequences=True, name="stack"))
    trace = congru.inspect(layer, X)
    assert trace.layer_names == ("stack cell 1", "stack cell 2")
    assert trace.cell == "lstm"
    trace.check()
    model = keras.Sequential(
        [keras.Input((None,)), layers.Embedding(9, 3), layers.Bidirectional(layers.GRU(4, return_sequences=True), name="under"),
         layers.SimpleRNN(5, name="over"), layers.Dense(2)]
    )  # fmt: skip
    tokens = np.random.default_rng(0).integers(0, 9, (2, 6))
    trace = congru.inspect(model, tokens)
    assert trace.layer_names == ("under", "over")
    trace.check()
    congru.inspect(model, tokens, layer="under").check()
    np.testing.assert_allclose(trace.output, returned(model, tokens), atol=1e-6)


def test_what_is_no_cell_here_has_its_line():
    with pytest.raises(ConventionError, match="recurrent_activation is 'hard_sigmoid', expected 'sigmoid'"):
        congru.inspect(made(layers.GRU(4, recurrent_activation="hard_sigmoid")), X)
    with pytest.raises(
        CongruError, match="Dense is no recurrent Keras layer, expected GRU, LSTM, SimpleRNN, RNN of"
    ):
        congru.inspect(made(layers.Dense(4)), X)
