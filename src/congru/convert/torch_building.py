"""The state of a conversion that follows a torch forward: the network so far, and the form of every value."""

from __future__ import annotations

from typing import Any, NamedTuple

from congru.convert.parts import Part, as_float32, as_name
from congru.errors import ConventionError, DataError

_CELLS = {"GRU": "gru", "LSTM": "lstm", "RNN": "rnn"}


class Value(NamedTuple):
    """What a name of the traced forward holds: a node's output, in which form.

    kind: "steps" (a sequence), "row" (one vector a sequence), "state" (the final h of a recurrent node), "both" (its tuple),
    "number" (a size), "zeros" (a first state), "constant" (a tensor of the module), "cell state" (an LSTM's c).
    """

    node: str
    kind: str
    time_first: bool = False
    module: Any = None


class Building:
    """The network as it grows."""

    def __init__(self, time_first: bool) -> None:
        self.entries: list[dict[str, Any]] = []
        self.weights: dict[str, Any] = {}
        self.titles: list[Part] = []
        self.tables: dict[int, str] = {}
        self.inputs: dict[str, dict[str, Any]] = {}
        self.time_first = time_first

    def add(self, part: Part, *of: str) -> str:
        """Place a node and return its name."""
        name = part.name
        taken = {entry["name"] for entry in self.entries} | set(self.inputs)
        while name in taken:
            name += "_"
        self.entries.append({**part.entry, "name": name, "of": list(of)})
        self.weights |= {f"{name}.{key}": value for key, value in part.weights.items()}
        self.titles.append(part)
        return name


def cell_of(part: Any) -> str | None:
    """The cell of a recurrent layer of torch.nn or congru.nn, by its class."""
    for kind in type(part).__mro__:
        if kind.__name__ in _CELLS and kind.__module__.startswith(("torch.nn", "congru.nn")):
            return _CELLS[kind.__name__]
    return None


def never_run(x: Any, state: Any) -> Any:
    """Stands for a part's own program, which is not run: the whole module is compared instead."""
    return x, state


def plain_part(kind: str, name: str) -> Part:
    """A node without weights."""
    return Part({"type": kind, "name": as_name(name, kind)}, {}, kind, never_run)


def array_of(tensor: Any, name: str) -> Any:
    """A tensor as a float32 array; raises DataError where it does not hold floating-point numbers."""
    if tensor.is_meta:
        raise DataError(f"{name} is on the device meta, expected numbers: load the weights first")
    value = tensor.detach().cpu()
    return as_float32({name: value.float().numpy()}, name)[name]


def value_of(argument: Any, values: dict[Any, Value], where: str) -> Value:
    """What an argument of a call holds; raises ConventionError where no earlier layer made it."""
    if argument not in values:
        raise ConventionError(f"{where} reads {argument!r}, expected what an earlier layer returned")
    return values[argument]
