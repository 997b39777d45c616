"""`--to numpy | torch | keras`: one Python file that needs nothing of congru, and its weights beside it."""

from __future__ import annotations

import importlib.util
import io
import keyword
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from congru.errors import ExportError, MissingPackageError, require
from congru.export.arrays.program import python_file
from congru.export.c.program import identifier
from congru.export.cases import Arrays, Case, golden_cases, replay_sequences
from congru.export.record import Refused, Written, time_beside
from congru.export.source import model_name, source_sequence
from congru.runtime.atomic import write_whole
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.tensors import format_arrays, prefixed

_IMPORTED = ("keras", "numpy", "safetensors", "torch")  # by what is written
Result = tuple[list[Written], list[Refused], list[str]]


def numpy(model: Model, folder: Path, samples: Mapping[str, Any]) -> Result:
    """NAME.py and NAME.npz. Raises :class:`ExportError` where a network differs from its golden cases."""
    return _write(model, folder, "numpy", np.asarray)


def torch(model: Model, folder: Path, samples: Mapping[str, Any]) -> Result:
    """NAME.py, a torch.nn.Module, and NAME.safetensors; raises as `numpy`."""
    library = require("torch", "train")
    return _write(model, folder, "torch", lambda value: library.from_numpy(np.ascontiguousarray(value)))


def keras(model: Model, folder: Path, samples: Mapping[str, Any]) -> Result:
    """NAME.py on keras.ops, on whichever backend Keras has, and NAME.npz; raises as `numpy`."""
    try:
        require("keras", "keras")
    except ModuleNotFoundError as error:  # of the backend that Keras is set to
        if isinstance(error, MissingPackageError):
            raise
        raise ExportError(
            f"Keras cannot start ({error}), expected a backend that is installed: set KERAS_BACKEND=torch"
        ) from None
    return _write(model, folder, "keras", np.asarray)


def _write(model: Model, folder: Path, kind: str, as_input: Callable[[Any], Any]) -> Result:
    name = module_name(model_name(model))
    path = folder / f"{name}.py"
    path.write_text(python_file(model, name, kind), encoding="utf-8")
    weights = prefixed({key: dict(network.weights) for key, network in model.networks.items()}, ".")
    if kind == "torch":
        held = folder / f"{name}.safetensors"
        write_whole(held, format_arrays(weights))
    else:
        held, content = folder / f"{name}.npz", io.BytesIO()
        np.savez(content, **weights)  # type: ignore[arg-type]
        write_whole(held, content.getvalue())
    exported, cases = _module(path).Model(), golden_cases(model)
    call = exported if kind == "torch" else exported.run
    written = []
    for key, network in model.networks.items():
        caller = Caller(call, key, as_input)
        written.append(_written(key, network, cases[key], caller, path.name, held.stat().st_size))
    return (
        written,
        [],
        [f"{path.name} {path.stat().st_size:,} bytes, {held.name} {held.stat().st_size:,} bytes"],
    )


def module_name(text: str) -> str:
    """A name for a Python file that `from NAME import Model` finds, and that stands before no other module.

    >>> module_name("romeo 2"), module_name("class"), module_name("torch")
    ('romeo_2', 'class_model', 'torch_model')
    """
    name = identifier(text)
    taken = keyword.iskeyword(name) or name in sys.stdlib_module_names or name in _IMPORTED
    return f"{name}_model" if taken else name


class Caller:
    """One network of an exported file, on NumPy arrays."""

    def __init__(self, call: Callable[..., Any], network: str, as_input: Callable[[Any], Any]) -> None:
        self.call, self.network, self.as_input = call, network, as_input

    def __call__(self, case: Case) -> tuple[Arrays, Arrays]:
        """Outputs and state after."""
        inputs, state = (
            {part: self.as_input(value) for part, value in group.items()}
            for group in (case.inputs, case.state)
        )
        outputs, after = self.call(self.network, inputs, state)
        return {k: _back(v) for k, v in outputs.items()}, {k: _back(v) for k, v in after.items()}


def _written(name: str, network: Network, cases: list[Case], run: Caller, file: str, size: int) -> Written:
    """Replay the golden sequences, each without its padding, and time one."""
    rows = [row for case in cases for row in case.rows(network)]
    off = replay_sequences(network, rows, run, f"{name} in {file}")
    times = time_beside({"target": lambda: run(rows[0]), "source": source_sequence(network, cases[0])})
    steps = rows[0].inputs[network.graph.step_inputs[0]].shape[1] if network.graph.step_inputs else 1
    return Written(name, "sequence", file, size, off, times["target"] / steps, times["source"] / steps)


def _back(value: Any) -> Any:
    """An array of any library as NumPy's."""
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"exported_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
