"""Two models, layer by layer: the same weights, the same equations? And where not, what was swapped.

Weights are brought to the canonical layout, so that a state_dict compares with an ONNX file. Outputs are the reference's, in
float64, on random and saturating inputs. The known accidents are told apart from other weights: the two GRU equations (reset
before and after the recurrent product), gates in another order, an update gate that writes in place of keeping.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from congru.convert.parts import Array, Contents
from congru.convert.reading import read_file
from congru.errors import ConventionError
from congru.reference import stack
from congru.reference.systems import ROWS
from congru.runtime.folder import CONFIG, find_model_folder, load
from congru.runtime.graph import Graph
from congru.runtime.nodes.recurrent import RecurrentNode

SAME_WEIGHTS = 1e-6
SAME_OUTPUT = 1e-5
_EXPORTERS = (
    "torch.onnx.export (dynamo=True, its default) writes linear_before_reset 0 for torch.nn.GRU with onnxscript 0.5.7 to 0.7.0; "
    "onnxscript 0.7.1 and dynamo=False write 1"
)


class LayerWeights(NamedTuple):
    """One layer in D directions, canonical: (W, U, b_i, b_h) for each."""

    name: str
    cell: str
    ways: tuple[tuple[Array, Array, Array, Array], ...]
    reset_before: bool

    @property
    def size(self) -> tuple[str, int, int, int]:
        """Cell, directions, hidden size, input size."""
        W, U, *_ = self.ways[0]
        return self.cell, len(self.ways), int(U.shape[1]), int(W.shape[1])


class Pair(NamedTuple):
    """One layer in both models: how far weights and outputs are apart, and what was found (empty where they are equal)."""

    name: str
    weights: float
    output: float
    finding: str


class Comparison(NamedTuple):
    """Both models, their layers in pairs, and the one line that says what is wrong ("" where nothing is)."""

    first: str
    second: str
    pairs: tuple[Pair, ...]
    problem: str
    swapped_reset: bool = False

    @property
    def equal(self) -> bool:
        """Whether every layer computes the same."""
        return not self.problem

    def __str__(self) -> str:
        lines = [f"{self.first} against {self.second}: {len(self.pairs)} recurrent layers"]
        for pair in self.pairs:
            line = f"  {pair.name}: weights differ by {pair.weights:.1e}, outputs by {pair.output:.1e}"
            lines.append(line + (f": {pair.finding}" if pair.finding else ""))
        return "\n".join(
            [*lines, f"WRONG: {self.problem}" if self.problem else "equal: both compute the same"]
        )


def compare(file: str | os.PathLike[str], other: str | os.PathLike[str]) -> Comparison:
    """Compare the recurrent layers of two files or model folders, in their order.

    Raises DataError or ConventionError where one of them can't be read.

    >>> import numpy as np, tempfile
    >>> random = np.random.default_rng(0)
    >>> arrays = {"weight_ih_l0": random.normal(size=(12, 3)), "weight_hh_l0": random.normal(size=(12, 4))}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/a.npz", **arrays)
    ...     compare(f"{folder}/a.npz", f"{folder}/a.npz").equal
    True
    """
    names = Path(file).name, Path(other).name
    first, second = layers_of(file), layers_of(other)
    if [layer.size for layer in first] != [layer.size for layer in second]:
        problem = (
            f"{names[0]} has {_sizes(first)}, {names[1]} has {_sizes(second)}: these are not the same network"
        )
        return Comparison(*names, (), problem)
    pairs = tuple(_pair(one, two, names) for one, two in zip(first, second))
    wrong = [pair for pair in pairs if pair.finding]
    if not wrong:
        return Comparison(*names, pairs, "")
    swapped = [one.reset_before != two.reset_before and pair.weights <= SAME_WEIGHTS
               for one, two, pair in zip(first, second, pairs)]  # fmt: skip
    if all(swap or not pair.finding for swap, pair in zip(swapped, pairs)):
        problem = f"{len(wrong)} GRU layers of {names[0]} compute the other equation, with the same weights. {_EXPORTERS}"
        return Comparison(*names, pairs, problem, True)
    return Comparison(
        *names, pairs, f"{len(wrong)} of {len(pairs)} layers differ: {wrong[0].name}: {wrong[0].finding}"
    )


def layers_of(source: str | os.PathLike[str]) -> list[LayerWeights]:
    """The recurrent layers of a file or model folder, one for each depth of a stack."""
    folder = find_model_folder(source)
    if (folder / CONFIG).is_file():
        model = load(folder)
        return [
            layer
            for network in model.networks.values()
            for node, inputs, _ in network.graph.placed
            if isinstance(node, RecurrentNode)
            for layer in _layers(node, network.graph.weights_of(node, inputs, network.weights))
        ]
    return layers_of_contents(read_file(source))


def layers_of_contents(contents: Contents) -> list[LayerWeights]:
    """The recurrent layers that were found in a file."""
    layers = []
    for network in contents.networks.values():
        graph = Graph(network.config)
        for node, inputs, _ in graph.placed:
            if isinstance(node, RecurrentNode):
                layers += _layers(node, graph.weights_of(node, inputs, network.weights))
    return layers


def _layers(node: RecurrentNode, weights: Any) -> list[LayerWeights]:
    if node.type == "mingru" or node.norm or node.heads != 1:
        raise ConventionError(
            f"{node} is no plain GRU, LSTM or RNN, expected one: other libraries have none to compare with"
        )
    flat, D = node.direction_weights(weights), node.num_directions
    layers = []
    for depth in range(node.num_layers):
        ways = []
        for W, U, b_i, b_h in flat[depth * D : (depth + 1) * D]:
            assert W is not None
            assert U is not None
            zeros = np.zeros(len(W), np.float32)
            ways.append((W, U, zeros if b_i is None else b_i, zeros if b_h is None else b_h))
        name = node.name if node.num_layers == 1 else f"{node.name} layer {depth}"
        layers.append(LayerWeights(name, node.type, tuple(ways), node.reset_first))
    return layers


def _pair(one: LayerWeights, two: LayerWeights, names: tuple[str, str]) -> Pair:
    weights = max(_distance(one.cell, a, b) for a, b in zip(one.ways, two.ways))
    output = float(np.abs(_output(one) - _output(two)).max())
    finding = ""
    if not output <= SAME_OUTPUT:
        finding = _finding(one, two, weights, names)
    return Pair(one.name, weights, output, finding)


def _finding(one: LayerWeights, two: LayerWeights, weights: float, names: tuple[str, str]) -> str:
    forms = [
        f"reset {'before' if layer.reset_before else 'after'} in {name}"
        for layer, name in zip((one, two), names)
    ]
    if weights <= SAME_WEIGHTS and one.reset_before != two.reset_before:
        return f"{forms[0]}, {forms[1].removeprefix('reset ')}"
    rows = ROWS[one.cell]
    for order in itertools.permutations(range(len(rows))):
        for sign in (1, -1) if one.cell == "gru" else (1,):
            changed = [_reordered(way, order, sign) for way in one.ways]
            if max(_distance(one.cell, a, b) for a, b in zip(changed, two.ways)) <= SAME_WEIGHTS:
                differences = []
                if order != tuple(range(len(rows))):
                    differences.append(
                        f"the gates of {names[0]} stand in another order, {_order(rows, order)}"
                    )
                if sign == -1:
                    differences.append(
                        "its update gate has the other sense (z writes in one, keeps in the other)"
                    )
                if one.reset_before != two.reset_before:
                    differences.append(f"{forms[0]}, {forms[1].removeprefix('reset ')}")
                return "; ".join(differences)
    if max(float(np.abs(a[1] - _transposed(b[1])).max()) for a, b in zip(one.ways, two.ways)) <= SAME_WEIGHTS:
        return "the recurrent matrix is transposed in one of them"
    return "the weights are others: another model, or another step of its training"


def _order(rows: str, order: Sequence[int]) -> str:
    """How the first model's blocks lie: block k holds what the second has at order[k]."""
    return ", ".join(rows[order.index(k)] for k in range(len(rows))) + f" for {', '.join(rows)}"


def _reordered(way: tuple[Array, Array, Array, Array], order: Sequence[int], sign: int) -> Any:
    def turn(part: Array) -> Array:
        blocks = np.split(part, len(order))
        moved = [blocks[k] for k in order]
        if sign == -1:
            moved[1] = -moved[1]
        return np.concatenate(moved)

    return tuple(turn(part) for part in way)


def _transposed(U: Array) -> Array:
    size = U.shape[1]
    return np.concatenate([block.T for block in np.split(U, len(U) // size)])


def _distance(cell: str, one: Any, two: Any) -> float:
    """The largest difference of weights; biases by what the cell adds up, since libraries split them differently."""
    matrices = [np.abs(a - b).max() for a, b in zip(one[:2], two[:2])]
    sums = np.abs((one[2] + one[3]) - (two[2] + two[3])).max()
    return float(max(*matrices, sums))


def _output(layer: LayerWeights) -> Array:
    outputs = []
    W, U = layer.ways[0][:2]
    for seed, scale in enumerate((1.0, 10.0)):
        random = np.random.default_rng(seed)
        x = scale * random.standard_normal((2, 8, W.shape[1]))
        shape = (len(layer.ways), 2, U.shape[1])
        state = tuple(random.uniform(-1, 1, shape) for _ in range(2 if layer.cell == "lstm" else 1))
        y, _, _ = stack.forward(layer.cell, x, state, [list(layer.ways)], reset_before=layer.reset_before)
        outputs.append(y)
    return np.stack(outputs)


def _sizes(layers: list[LayerWeights]) -> str:
    sizes = [
        f"{layer.size[0]} {layer.size[2]}{' both ways' if layer.size[1] == 2 else ''} on {layer.size[3]}"
        for layer in layers
    ]
    return ", ".join(sizes) or "no recurrent layer"


def write_fixed(
    file: str | os.PathLike[str], other: str | os.PathLike[str], fixed: str | os.PathLike[str]
) -> Comparison:
    """Write `file` (.onnx) to `fixed` with the reset form of `other`, and compare that; only this accident can be mended.

    Raises ConventionError where the two differ in anything else, or not at all.
    """
    from congru.convert.onnx_run import load_onnx

    comparison = compare(file, other)
    if Path(file).suffix.lower() != ".onnx" or not comparison.swapped_reset:
        why = "they are equal" if comparison.equal else comparison.problem
        raise ConventionError(
            f"{Path(file).name} can't be fixed ({why}), expected an ONNX file with the other GRU equation and the same weights"
        )
    model = load_onnx(file)
    target = int(not layers_of(other)[0].reset_before)
    for node in model.graph.node:
        if node.op_type == "GRU":
            kept = [part for part in node.attribute if part.name != "linear_before_reset"]
            del node.attribute[:]
            node.attribute.extend(kept)
            entry = node.attribute.add()
            entry.name, entry.i, entry.type = "linear_before_reset", target, 2  # 2: AttributeProto.INT
    Path(fixed).write_bytes(model.SerializeToString())
    return compare(fixed, other)
