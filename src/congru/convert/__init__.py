"""Other libraries' models in and out of a model folder; every conversion ends in a self-check.

    report = congru.convert.to_folder("gru.pt", "gru")         a file: PyTorch, ONNX, Keras, JAX, MLX, RTNeural, ncnn
    report = congru.convert.from_torch(module, "model")        a torch model of your own, whole
    congru.convert.to_file("model", "gru.safetensors", "flax") and the way back

`congru convert` is the same from the command line. The layouts themselves are `congru.reference.conventions`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Report": "folder",
    "compare": "comparison",
    "from_torch": "torch_module",
    "read_file": "reading",
    "to_file": "writing",
    "to_folder": "api",
}

__all__ = ["Report", "compare", "from_torch", "read_file", "to_file", "to_folder"]

if TYPE_CHECKING:
    from congru.convert.api import to_folder
    from congru.convert.comparison import compare
    from congru.convert.folder import Report
    from congru.convert.reading import read_file
    from congru.convert.torch_module import from_torch
    from congru.convert.writing import to_file


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'congru.convert' has no attribute {name!r}")
    return getattr(importlib.import_module(f"congru.convert.{_HOMES[name]}"), name)
