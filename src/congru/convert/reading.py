"""Which reader a file needs: told by its name and, for named arrays, by the names inside."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from congru.convert import arrays_files
from congru.convert.arrays_files import read_arrays
from congru.convert.names import Layers, find_layers
from congru.convert.parts import (
    FUNCTIONS,
    Array,
    Contents,
    Direction,
    Part,
    as_float32,
    as_name,
    chain,
    embedding_part,
    function_part,
    layer_norm_part,
    linear_part,
    recurrent_part,
)
from congru.errors import DataError, SettingsError
from congru.reference.systems import ROWS, SYSTEMS

SUFFIXES = (*arrays_files.SUFFIXES, ".onnx", ".keras", ".h5", ".hdf5", ".json", ".param")
_TITLES = {
    "pytorch": "PyTorch", "keras": "Keras", "flax": "Flax", "flax_nnx": "Flax nnx", "equinox": "Equinox", "mlx": "MLX",
    "haiku": "Haiku", "sonnet": "Sonnet", "tensorflow1": "TensorFlow 1", "ncnn": "ncnn", "cudnn": "cuDNN",
}  # fmt: skip
_ALONE = "the file doesn't say how it is wired: name the order with --chain, or use congru.convert.from_torch"


def read_file(
    path: str | os.PathLike[str],
    *,
    system: str | None = None,
    cell: str | None = None,
    order: Sequence[str] = (),
) -> Contents:
    """What a file holds, as networks: the common reader behind `congru convert` and `congru doctor`.

    `system` (a name of `congru.reference.systems.SYSTEMS`) and `cell` are for files of named arrays whose names leave them
    open. `order` wires such a file: names of its layers and of relu, tanh, sigmoid, last, mean, max, in the order they are
    applied. Raises DataError, ConventionError or SettingsError with one line.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(
            f"{file} does not exist or is no file, expected one of {', '.join(SUFFIXES)}: check the path"
        )
    for name, value, known in (("system", system, SYSTEMS), ("cell", cell, ROWS)):
        if value is not None and value not in known:
            raise SettingsError(
                f"{name} is {value!r}, expected one of {', '.join(known)}: pass one of these names"
            )
    suffix = file.suffix.lower()
    if suffix in arrays_files.SUFFIXES and not (suffix == ".bin" and file.with_suffix(".param").exists()):
        arrays = read_arrays(file)
        return from_arrays(arrays, str(file), system=system, cell=cell, order=order)
    if system is not None or cell is not None or order:
        raise SettingsError(
            f"system, cell or order is given for {file.name}, expected none: a {suffix} file says itself what its layers are"
        )
    if suffix in (".param", ".bin"):
        from congru.convert.ncnn import read_ncnn

        return read_ncnn(file)
    if suffix == ".json":
        from congru.convert.rtneural import read_rtneural

        return read_rtneural(file)
    if suffix in (".keras", ".h5", ".hdf5"):
        from congru.convert.keras_files import read_keras

        return read_keras(file)
    if suffix == ".onnx":
        from congru.convert.onnx_files import read_onnx

        return read_onnx(file)
    raise DataError(
        f"{file} ends in {suffix or 'nothing'!r}, expected one of {', '.join(SUFFIXES)}: rename or save it as one"
    )


def from_arrays(
    arrays: Mapping[str, Array],
    source: str,
    *,
    system: str | None = None,
    cell: str | None = None,
    order: Sequence[str] = (),
) -> Contents:
    """Recurrent layers among named arrays: each a network of its own, or, with `order`, one network in that order."""
    floats = {name: array for name, array in arrays.items() if np.asarray(array).dtype.kind == "f"}
    layers = find_layers(floats, system, cell)
    if not layers:
        whole = find_layers(arrays, system, cell) if len(floats) < len(arrays) else []
        for name in [name for one in whole for name in one.names]:
            as_float32({name: arrays[name]}, source)
        shown = ", ".join(list(arrays)[:6]) + (" ..." if len(arrays) > 6 else "")
        raise DataError(
            f"{source} holds no recurrent layer by the names of {system or 'any library here'}: it has {shown or 'nothing'}; "
            f"say whose it is with --from, one of {', '.join(SYSTEMS)}"
        )
    remarks = [
        f"{name} was rounded from float64 to float32"
        for name in [name for part in layers for name in part.names][:1]
        if np.asarray(floats[name]).dtype == np.float64
    ]
    parts = {one.prefix: _part(one, floats, source) for one in layers}
    title = f"{_TITLES.get(layers[0].system, layers[0].system)} arrays ({Path(source).name})"
    if any(one.cell == "rnn" and one.system == "pytorch" for one in layers):
        remarks.append("a state_dict doesn't say which function an RNN applies: read as tanh")
    if order:
        ordered = [_ordered(name, parts, floats) for name in order]
        used = {name for one in layers for name in one.names if one.prefix in order}
        used |= {f"{name}.{end}" for name in order for end in ("weight", "bias")}
        left = {name: "not named in the order" for name in arrays if name not in used}
        return Contents(title, {"main": chain(ordered)}, left, tuple(remarks))
    used = {name for one in layers for name in one.names}
    left = {name: _ALONE for name in floats if name not in used}
    networks = {as_name(prefix, "main"): chain([part]) for prefix, part in parts.items()}
    if len(networks) < len(parts):
        raise DataError(
            f"{source} has layers whose names differ in signs only: rename one of {', '.join(parts)}"
        )
    return Contents(title, networks, left, tuple(remarks))


def _part(layers: Layers, arrays: Mapping[str, Array], source: str) -> Part:
    narrow = [
        [Direction(as_float32(way.arrays, source), way.options) for way in layer] for layer in layers.layers
    ]
    return recurrent_part(layers.prefix, layers.system, layers.cell, narrow)


def _ordered(name: str, recurrent: Mapping[str, Part], arrays: Mapping[str, Array]) -> Part:
    """The part that a name of `order` stands for."""
    if name in recurrent:
        return recurrent[name]
    weight = arrays.get(f"{name}.weight")
    bias = arrays.get(f"{name}.bias")
    if weight is None and name in FUNCTIONS:
        return function_part(name, name)
    if weight is None:
        known = ", ".join(
            [*recurrent, *sorted({key.rpartition(".")[0] for key in arrays if key.endswith(".weight")})]
        )
        raise SettingsError(
            f"order names {name!r}, expected one of {known}, {', '.join(FUNCTIONS)}: correct the name"
        )
    weight = as_float32({name: weight}, name)[name]
    bias = None if bias is None else as_float32({name: bias}, name)[name]
    if weight.ndim == 1:
        return layer_norm_part(name, weight, np.zeros_like(weight) if bias is None else bias)
    if weight.ndim != 2:
        raise SettingsError(
            f"order names {name!r} with a weight of shape {weight.shape}, expected a matrix or a norm"
        )
    first = bias is None and "emb" in name.lower()
    return embedding_part(name, weight) if first else linear_part(name, weight, bias)
