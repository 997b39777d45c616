"""What a torch forward does between its layers, as nodes: sums, joined features, pools over the steps, the last step."""

from __future__ import annotations

from typing import Any

from congru.convert.torch_building import Building, Value, cell_of, plain_part, value_of
from congru.errors import ConventionError

_FUNCTIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}
# What a forward calls to make the zeros its recurrent layer starts from.
_ZEROS = ("zeros", "new_zeros", "zeros_like")
_SIZES = ("size", "getattr", "dim", "len")
_STAYS_ZERO = (
    "to",
    "float",
    "detach",
    "requires_grad_",
    "contiguous",
    "cuda",
    "expand",
    "repeat",
    "unsqueeze",
    "type_as",
)


def call_function(torch: Any, building: Building, node: Any, values: dict[Any, Value]) -> Value:
    """The node of a function or method, or what passes through it; raises ConventionError that names one without."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    where = f"{name} in forward"
    args = node.args
    if name in _ZEROS:
        return Value("", "zeros")
    if args and args[0] in values and (name in _SIZES or values[args[0]].kind == "number"):
        return Value("", "number")
    if args and args[0] in values and values[args[0]].kind == "zeros" and name in _STAYS_ZERO:
        return values[args[0]]
    if name == "getitem":
        return _getitem(building, value_of(args[0], values, where), args[1], where)
    if (
        name in ("add", "iadd", "add_")
        and all(argument in values for argument in args[:2])
        and not node.kwargs
    ):
        return _joined(building, "add", [values[argument] for argument in args[:2]], where)
    if name in ("cat", "concat", "concatenate"):
        dim = node.kwargs.get("dim", args[1] if len(args) > 1 else 0)
        parts = [value_of(argument, values, where) for argument in args[0]]
        features = 2 if parts[0].kind == "steps" else 1
        if dim not in (-1, features):
            raise ConventionError(
                f"{where} joins axis {dim}, expected the features (-1): a model folder has no other"
            )
        return _joined(building, "concat", parts, where)
    read = value_of(args[0] if args else node.kwargs.get("input"), values, where)
    if name in _FUNCTIONS and read.kind in ("steps", "row"):
        return read._replace(node=building.add(plain_part(_FUNCTIONS[name], name), read.node))
    if name in ("dropout", "contiguous", "float", "to", "detach", "clone"):
        return read
    if name in ("transpose", "permute", "swapaxes") and read.kind == "steps":
        order = args[1:] if not isinstance(args[1], (tuple, list)) else tuple(args[1])
        if order in ((0, 1), (1, 0), (1, 0, 2)):
            return read._replace(time_first=not read.time_first)
    if name in ("mean", "amax", "max") and read.kind == "steps":
        dim = node.kwargs.get("dim", node.kwargs.get("axis", args[1] if len(args) > 1 else None))
        dim = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
        if dim in ((0, -3) if read.time_first else (1, -2)) and not node.kwargs.get("keepdim"):
            pooled = building.add(plain_part("mean" if name == "mean" else "max", f"{name}_pool"), read.node)
            return Value(pooled, "pair" if name == "max" else "row")
    if name == "squeeze" and read.kind == "state" and args[1:] in ((0,), ()) and read.module.num_layers == 1:
        return _last(building, read, where)
    raise ConventionError(
        f"{where} has no node in a model folder, expected layers, relu, tanh, sigmoid, +, cat of features, mean and max over the "
        "steps, y[:, -1] and h[-1]: take it out of the model and apply it to what the folder returns"
    )


def _getitem(building: Building, read: Value, index: Any, where: str) -> Value:
    if read.kind == "both":
        if index == 0:
            return read._replace(kind="steps", module=None)
        lstm = cell_of(read.module) == "lstm"
        return read._replace(kind="pair_of_states" if lstm else "state")
    if read.kind == "pair_of_states":
        return read._replace(kind="state" if index == 0 else "cell state")
    if read.kind == "pair" and index == 0:  # torch.max returns values and places
        return read._replace(kind="row")
    if read.kind == "state" and index in (
        -1,
        read.module.num_layers * (2 if read.module.bidirectional else 1) - 1,
    ):
        return _last(building, read, where)
    whole = slice(None, None, None)
    if read.kind == "steps" and isinstance(index, (tuple, int)):
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(part for part in parts if part is not Ellipsis)
        while parts and parts[-1] == whole:
            parts = parts[:-1]
        if parts == ((-1,) if read.time_first else (whole, -1)):
            return Value(building.add(plain_part("last", "last"), read.node), "row")
    raise ConventionError(
        f"{where} takes [{index!r}] of a {read.kind}, expected y[:, -1] or h[-1]: a model folder has no other part of it"
    )


def _last(building: Building, read: Value, where: str) -> Value:
    """The final state of the top layer: its last output, where it runs forward."""
    if read.module.bidirectional:
        raise ConventionError(
            f"{where} takes the final state of a bidirectional layer, expected that of a forward one: a model folder has no node "
            "for the two ends; use mean or max over the steps"
        )
    return Value(building.add(plain_part("last", "last"), read.node), "row")


def _joined(building: Building, kind: str, parts: list[Value], where: str) -> Value:
    if any(part.kind not in ("steps", "row") for part in parts):
        raise ConventionError(
            f"{where} joins a {parts[0].kind} of a recurrent layer, expected outputs: take y or h[-1]"
        )
    if len({(part.kind, part.time_first) for part in parts if part.kind == "steps"}) > 1:
        raise ConventionError(
            f"{where} joins batch first and time first, expected one order: transpose one of them"
        )
    first = next((part for part in parts if part.kind == "steps"), parts[0])
    return first._replace(node=building.add(plain_part(kind, kind), *(part.node for part in parts)))
