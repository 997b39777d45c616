"""Files of named arrays: safetensors, .npz, and PyTorch's .pt through weights-only loading. Nothing is unpickled into code."""

from __future__ import annotations

import pickle
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from safetensors import SafetensorError

from congru.convert.parts import Array
from congru.errors import DataError, require
from congru.runtime.tensors import parse_tensors

TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
SUFFIXES = (".safetensors", ".npz", *TORCH_SUFFIXES)
# Where training programs keep the state_dict inside a checkpoint.
_INNER = ("state_dict", "model_state_dict", "model", "weights", "net", "params")


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file by name, in its order; bfloat16 as float32.

    Raises DataError for a file that is not of its kind, and MissingPackageError for .pt without torch.
    """
    if path.suffix in TORCH_SUFFIXES:
        return _read_torch(path)
    try:
        if path.suffix == ".safetensors":
            return parse_tensors(path.read_bytes())
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): check the path") from None
    except (SafetensorError, ValueError, BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no complete {path.suffix} file ({_line(error)}): save it again") from None


def _read_torch(path: Path) -> dict[str, Array]:
    torch = require("torch", "train")
    try:
        with warnings.catch_warnings():  # what torch thinks of another's pickle: the line below says it
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): check the path") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = "" if isinstance(error, pickle.UnpicklingError) else f" ({_line(error)[:90]})"
        raise DataError(
            f"{path} holds more than tensors or is no torch file{reason}, expected a state_dict: save "
            "model.state_dict(), or pass the model itself to congru.convert.from_torch"
        ) from None
    tensors = _tensors(torch, content)
    if not tensors:
        raise DataError(
            f"{path} holds {type(content).__name__} without tensors by name, expected a state_dict: save model.state_dict()"
        )
    return {name: _to_array(torch, tensor) for name, tensor in tensors.items()}


def _tensors(torch: Any, content: Any) -> dict[str, Any]:
    """The state_dict itself, or the one a checkpoint holds."""
    if not isinstance(content, Mapping):
        return {}
    own = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if own:
        return own
    for key in (*_INNER, *content):
        inner = _tensors(torch, content.get(key)) if isinstance(content.get(key), Mapping) else {}
        if inner:
            return inner
    return {}


def _to_array(torch: Any, tensor: Any) -> Array:
    tensor = tensor.detach().cpu()
    array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
