"""Twins of the recurrent nodes: the layers of `congru.nn`."""

from __future__ import annotations

from congru.nn.gru import GRU
from congru.nn.lstm import LSTM
from congru.nn.mingru import MinGRU
from congru.nn.recurrent import RecurrentLayer
from congru.nn.rnn import RNN
from congru.nn.twins.twin import TWINS
from congru.runtime.nodes import Node, Spec, recurrent

_LAYERS: dict[type[Node], type[RecurrentLayer]] = {
    recurrent.Gru: GRU,
    recurrent.Lstm: LSTM,
    recurrent.Rnn: RNN,
    recurrent.MinGru: MinGRU,
}


def _layer(node: recurrent.RecurrentNode, x: Spec, backend: str) -> RecurrentLayer:
    options = {key: value for key, value in vars(node).items() if key not in ("name", "of")}
    return _LAYERS[type(node)](x.features, **options, batch_first=True, backend=backend)


for _kind in _LAYERS:
    TWINS[_kind] = _layer
