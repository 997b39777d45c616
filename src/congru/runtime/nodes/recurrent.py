"""The recurrent nodes: GRU, LSTM, tanh RNN and minGRU, stacked and in both directions, with the options of `congru.nn`.

Weights carry the names of torch.nn: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, with `_reverse` for the backward
direction, gain_* for layer norm, h0 (and c0) for a learned initial state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from congru.errors import SettingsError
from congru.kernels.cells import CELLS
from congru.reference.option_equations import gain_names
from congru.reference.options import check_heads
from congru.runtime.cells import Array
from congru.runtime.form import Form
from congru.runtime.nodes.node import Compute, Node, Shapes, Spec, Weights, choice, flag, share, whole
from congru.runtime.recurrent import Recurrent

# Stems of the parameters that layer norm adds, by their names in `congru.ops`.
GAIN_STEMS = {"g_i": "gain_ih", "g_h": "gain_hh", "g_c": "gain_c", "b_c": "bias_c"}


@dataclass(frozen=True, kw_only=True)
class RecurrentNode(Node):
    """L layers in D directions: [T, B, F] -> [T, B, D*H]. `dropout` acts between layers, in training."""

    hidden_size: int = whole()
    num_layers: int = whole(1, most=1000)
    bidirectional: bool = flag(False)
    bias: bool = flag(True)
    learn_h0: bool = flag(False)
    dropout: float = share(0.0)

    def __post_init__(self) -> None:
        try:
            gain_names(self.type, self.norm, self.reset_first, self.heads)
            check_heads(self.heads, self.hidden_size)
        except SettingsError as error:
            raise SettingsError(f"{self}: {error}") from None

    @property
    def norm(self) -> bool | str:
        """layer_norm, False for a cell without it."""
        value: bool | str = getattr(self, "layer_norm", False)
        return value

    @property
    def reset_first(self) -> bool:
        """reset_before, False for a cell without it."""
        return bool(getattr(self, "reset_before", False))

    @property
    def heads(self) -> int:
        """num_heads, 1 for a cell without it."""
        return int(getattr(self, "num_heads", 1))

    @property
    def num_directions(self) -> int:
        """D: 2 for a bidirectional node, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def state_parts(self) -> tuple[str, ...]:
        """("h",), for an LSTM ("h", "c")."""
        return CELLS[self.type].states

    @property
    def ends(self) -> list[str]:
        """The endings of the parameters of every layer and direction: "l0", "l0_reverse", "l1", ..."""
        suffixes = ("", "_reverse")[: self.num_directions]
        return [f"l{layer}{suffix}" for layer in range(self.num_layers) for suffix in suffixes]

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems of the parameters of one layer and direction, in the order of `congru.ops`."""
        if self.type == "mingru":
            return ("weight_ih", "bias_ih")
        gains = gain_names(self.type, self.norm, self.reset_first)
        return ("weight_ih", "weight_hh", "bias_ih", "bias_hh", *(GAIN_STEMS[name] for name in gains))

    def infer(self, *x: Spec) -> Spec:
        """[T, B, D*H]."""
        return self.need_sequence(x[0])._replace(size=(self.hidden_size * self.num_directions,))

    def weights(self, *x: Spec) -> Shapes:
        """As torch.nn's."""
        rows = len(CELLS[self.type].gates) * self.hidden_size
        shapes: Shapes = {}
        for index, end in enumerate(self.ends):
            size = x[0].features if index < self.num_directions else self.hidden_size * self.num_directions
            own = {
                "weight_ih": (rows, size),
                "weight_hh": (rows, self.hidden_size // self.heads),
                "gain_c": (self.hidden_size,),
                "bias_c": (self.hidden_size,),
            }
            for stem in self.stems:
                if self.bias or not stem.startswith("bias"):
                    shapes[f"{stem}_{end}"] = own.get(stem, (rows,))
        if self.learn_h0:
            depth = self.num_layers * self.num_directions
            shapes.update({f"{part}0": (depth, self.hidden_size) for part in self.state_parts})
        return shapes

    def state(self, *x: Spec) -> dict[str, tuple[int, int]]:
        """h [L*D, B, H], for an LSTM also c."""
        size = (self.num_layers * self.num_directions, self.hidden_size)
        return dict.fromkeys(self.state_parts, size)

    def initial(self, weights: Weights) -> dict[str, Array]:
        """The learned initial state, where there is one."""
        return {part: weights[f"{part}0"] for part in self.state_parts} if self.learn_h0 else {}

    def stream_problem(self, *x: Spec) -> str | None:
        """A backward direction needs the end first."""
        return "is bidirectional and reads the whole sequence first" if self.bidirectional else None

    def direction_weights(self, weights: Weights) -> list[tuple[Array | None, ...]]:
        """The weights of every layer and direction in the order of `congru.ops`: (W, U, b_i, b_h, gains), minGRU (W, b_i)."""
        return [tuple(weights.get(f"{stem}_{end}") for stem in self.stems) for end in self.ends]

    def form(self, weight_dtype: str = "float32") -> Form:
        """Which equations it computes, for `congru.runtime.recurrent`."""
        return Form(
            name=self.name,
            cell=self.type,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            num_directions=self.num_directions,
            reset_before=self.reset_first,
            layer_norm=self.norm,
            num_heads=self.heads,
            zoneout=float(getattr(self, "zoneout", 0.0)),
            weight_dtype=weight_dtype,
        )

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """A :class:`congru.runtime.recurrent.Recurrent`; `how`: backend, weight_dtype."""
        form = self.form(how.get("weight_dtype", "float32"))
        return Recurrent(form, self.direction_weights(weights), how.get("backend", "numpy"))


@dataclass(frozen=True, kw_only=True)
class _MaskedNode(RecurrentNode):
    """`num_heads` and the masks of training; zoneout takes its expectation in use."""

    num_heads: int = whole(1)
    zoneout: float = share(0.0)
    recurrent_dropout: float = share(0.0)
    input_dropout: float = share(0.0)


@dataclass(frozen=True, kw_only=True)
class Gru(_MaskedNode, type="gru"):
    """`congru.reference.gru`: reset after (torch, cuDNN) or before (Cho et al. 2014)."""

    reset_before: bool = flag(False)
    layer_norm: bool | str = choice(False, True, False, "dreamer")


@dataclass(frozen=True, kw_only=True)
class Lstm(_MaskedNode, type="lstm"):
    """`congru.reference.lstm`."""

    layer_norm: bool | str = choice(False, True, False, "dreamer")


@dataclass(frozen=True, kw_only=True)
class Rnn(_MaskedNode, type="rnn"):
    """`congru.reference.rnn`: tanh."""


@dataclass(frozen=True, kw_only=True)
class MinGru(RecurrentNode, type="mingru"):
    """`congru.reference.mingru`: gates of the input alone (Feng et al. 2024)."""


def recurrent_types() -> tuple[str, ...]:
    """The types of the recurrent nodes."""
    return ("gru", "lstm", "rnn", "mingru")
