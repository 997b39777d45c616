"""Recurrent layers for torch: torch.nn's arguments and names, plus lengths, resets, gates, a learned h0."""

from congru.errors import require

require("torch", "train")

from congru.kernels.onnx_nodes import translation as onnx_translation  # noqa: E402
from congru.nn.chrono import chrono_init  # noqa: E402
from congru.nn.convert import convert  # noqa: E402
from congru.nn.gru import GRU, GRUCell  # noqa: E402
from congru.nn.lstm import LSTM, LSTMCell  # noqa: E402
from congru.nn.mingru import MinGRU, MinGRUCell  # noqa: E402
from congru.nn.network import Network  # noqa: E402
from congru.nn.parallel import run_in_parallel  # noqa: E402
from congru.nn.rnn import RNN, RNNCell  # noqa: E402

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "MinGRU",
    "MinGRUCell",
    "Network",
    "RNNCell",
    "chrono_init",
    "convert",
    "onnx_translation",
    "run_in_parallel",
]
