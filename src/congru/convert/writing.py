"""The way back: a model folder's recurrent layers as another library stores them, checked by that library's own equations."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from congru.convert import equations
from congru.convert.arrays_files import TORCH_SUFFIXES
from congru.convert.folder import Report
from congru.convert.ncnn import format_ncnn, with_zeros
from congru.convert.parts import Array
from congru.convert.rtneural import format_rtneural, plain_cell
from congru.errors import ConventionError, DataError, SettingsError, require
from congru.reference import stack
from congru.reference.conventions import from_canonical
from congru.runtime.atomic import write_whole
from congru.runtime.folder import load
from congru.runtime.model import Model
from congru.runtime.nodes.recurrent import RecurrentNode
from congru.runtime.tensors import format_arrays

# Formats of named arrays; RTNeural and ncnn have files of their own.
FORMATS = ("pytorch", "keras", "flax", "flax_nnx", "equinox", "mlx", "haiku", "sonnet", "tensorflow1")
ARRAYS = (".safetensors", ".npz", *TORCH_SUFFIXES)
_LIMIT = 1e-5


def to_file(
    model: str | os.PathLike[str] | Model, file: str | os.PathLike[str], form: str = "pytorch"
) -> Report:
    """Write a model folder's recurrent layers to a file of another library, and return the :class:`Report`.

    file: .safetensors, .npz or .pt of named arrays in the layout `form` (a state_dict by default: then with the other layers
    too), RTNeural's .json, or ncnn's .param (with .bin beside it). Raises ConventionError for what that library has not.
    """
    loaded = model if isinstance(model, Model) else load(model)
    target = Path(file)
    suffix = target.suffix.lower()
    nodes = [
        (f"{name}." if len(loaded.networks) > 1 else "", network, node, inputs)
        for name, network in loaded.networks.items()
        for node, inputs, _ in network.graph.placed
    ]
    recurrent = [
        (prefix, network, node, inputs)
        for prefix, network, node, inputs in nodes
        if isinstance(node, RecurrentNode)
    ]
    if not recurrent:
        raise ConventionError(
            f"{loaded.folder} has no recurrent layer, expected a GRU, LSTM or RNN: there is nothing to convert"
        )
    arrays: dict[str, Array] = {}
    worst, titles = 0.0, []
    system = {".json": "keras", ".param": "ncnn"}.get(suffix, form)
    if suffix in ARRAYS and form not in FORMATS:
        raise SettingsError(
            f"form is {form!r}, expected one of {', '.join(FORMATS)}: pass one of these names"
        )
    if suffix not in (*ARRAYS, ".json", ".param"):
        hint = "congru export MODEL --to onnx writes ONNX" if suffix == ".onnx" else "rename it"
        raise SettingsError(
            f"{target} ends in {suffix!r}, expected one of {', '.join((*ARRAYS, '.json', '.param'))}: {hint}"
        )
    for prefix, network, node, inputs in recurrent:
        plain_cell(node)
        if node.name in network.integers.scales:
            raise ConventionError(
                f"{node} computes in integers, expected float32 weights: convert the model it was made of"
            )
        weights = network.graph.weights_of(node, inputs, network.weights)
        flat = node.direction_weights(weights)
        if system == "keras" and node.type == "gru":  # a bias tells the two forms apart
            flat = [with_zeros(part) for part in flat]
        if node.type == "mingru":
            raise ConventionError(f"{node} is a minGRU, expected GRU, LSTM or RNN: no library here has one")
        for index, part in enumerate(flat):
            whole: Any = with_zeros(part) if system == "ncnn" else part
            written = from_canonical(system, whole, node.reset_first, cell=node.type)
            worst = max(worst, _difference(system, node, part, written.arrays, written.options))
            arrays |= _named(system, f"{prefix}{node.name}", node, index, written.arrays)
        titles.append(f"{prefix}{node.name}: {node.type} {node.num_layers} x {node.hidden_size}")
    if not worst <= _LIMIT:
        raise ConventionError(
            f"{target} would differ from the model by {worst:.1e}, expected at most {_LIMIT:.0e}: nothing written"
        )
    try:
        left = _write(loaded, target, form, arrays, recurrent, nodes)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error.strerror}): check its folder, space and permissions"
        ) from None
    left |= {
        f"{prefix}{node.name}.{part}0": "the learned first state: pass it at the start of every sequence"
        for prefix, network, node, inputs in recurrent
        for part in node.initial(network.graph.weights_of(node, inputs, network.weights))
    }
    what = {".json": "RTNeural JSON", ".param": "ncnn"}.get(suffix, f"{form} arrays")
    return Report(f"{loaded.folder} as {what}", tuple(titles), left, (), worst, str(target))


def _named(
    system: str, prefix: str, node: RecurrentNode, index: int, arrays: dict[str, Array]
) -> dict[str, Array]:
    """The arrays of one layer and direction under the names they have in the file."""
    end = node.ends[index]
    if system == "pytorch":
        return {f"{prefix}.{name}_{end}": array for name, array in arrays.items()}
    layer = prefix if len(node.ends) == 1 else f"{prefix}_{end}"
    return {f"{layer}/{name}": array for name, array in arrays.items()}


def _difference(
    system: str, node: RecurrentNode, part: Any, arrays: dict[str, Array], options: dict[str, Any]
) -> float:
    """How far the library's own equations on the written arrays are from the reference on the model's."""
    W, U = part[0], part[1]
    worst = 0.0
    for seed, scale in enumerate((1.0, 10.0)):
        random = np.random.default_rng(seed)
        x = scale * random.standard_normal((2, 8, W.shape[1]))
        state = tuple(random.uniform(-1, 1, (2, U.shape[1])) for _ in node.state_parts)
        theirs, _ = equations.run(system, node.type, x, state, arrays, options)
        start = tuple(value[None] for value in state)
        ours, _, _ = stack.forward(node.type, x, start, [[part]], reset_before=node.reset_first)
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst


def _write(
    model: Model, target: Path, form: str, arrays: dict[str, Array], recurrent: Any, nodes: Any
) -> dict[str, str]:
    """Write the file; what of the model is not in it, and why."""
    others = {
        f"{prefix}{node.name}": node for prefix, _, node, _ in nodes if not isinstance(node, RecurrentNode)
    }
    suffix = target.suffix.lower()
    if suffix == ".json":
        write_whole(target, format_rtneural(model))
        return {}
    if suffix == ".param":
        if len(recurrent) > 1:
            raise ConventionError(
                f"{target} holds one recurrent node, expected a model with one: it has {len(recurrent)}"
            )
        _, network, node, inputs = recurrent[0]
        param, weights = format_ncnn(node, network.graph.weights_of(node, inputs, network.weights))
        write_whole(target, param)
        write_whole(target.with_suffix(".bin"), weights)
        return dict.fromkeys(others, "only the recurrent layer is written for ncnn")
    left = dict.fromkeys(others, f"written in the layout of {form}: recurrent layers only")
    if form == "pytorch":
        left = {}
        for prefix, network, node, inputs in nodes:
            if not isinstance(node, RecurrentNode):
                own = network.graph.weights_of(node, inputs, network.weights)
                arrays |= {f"{prefix}{node.name}.{part}": value for part, value in own.items()}
    if suffix == ".safetensors":
        write_whole(target, format_arrays(arrays))
        return left
    content = io.BytesIO()
    if suffix == ".npz":
        np.savez(content, **arrays)  # type: ignore[arg-type]
    else:
        torch = require("torch", "train")
        torch.save(
            {name: torch.tensor(np.ascontiguousarray(value)) for name, value in arrays.items()}, content
        )
    write_whole(target, content.getvalue())
    return left
