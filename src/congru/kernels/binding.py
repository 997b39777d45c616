"""The C core as a Python extension (core/congru.h): loading it, its codes, its threads.

Everything else of the backend `native` stands on this file. The environment variable ``CONGRU_ISA`` names the instruction
set (``avx512``, ``avx2``, ``baseline``), for tests.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np

from congru.errors import BackendError, SettingsError

# (cell, reset before) -> congru_cell in core/congru.h.
CODES = {("gru", False): 0, ("gru", True): 1, ("lstm", False): 2, ("rnn", False): 3}
# Codes of cells that the core has not, behind the same operators in traced graphs: torch operations compute them.
TRACED = {("rnn_relu", False): 4}
# Names of dtypes -> those of core/congru.h.
DTYPES = {"float32": 0, "float64": 1}
WEIGHT_DTYPES = {None: 0, "bfloat16": 1}


def _default_threads() -> int:
    """OMP_NUM_THREADS, as every numerical library reads it, else the cores this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else num_cores()


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> tuple[ModuleType | None, str | None]:
    """The extension, or None and the reason, as one clause with its fix."""
    try:
        core = importlib.import_module("congru.kernels._core")
    except ModuleNotFoundError:
        return (
            None,
            "the C core is not in this installation: pip install --force-reinstall --no-deps congru where a wheel or"
            " a C compiler is (docs/install.md)",
        )
    if core.isa() is None:
        known = ", ".join(core.isas())
        return None, f"CONGRU_ISA is {os.environ['CONGRU_ISA']!r}, expected one of {known}: unset it"
    core.set_threads(_default_threads())
    return core, None


# Once, and here: a compiled graph cannot trace an import.
_CORE, _REASON = _load()
_told = False


def extension() -> ModuleType:
    """The extension module ``congru.kernels._core``; raises `BackendError` with the reason where it cannot be used."""
    if _CORE is None:
        raise BackendError(f"backend is 'native', expected one that can run here: {_REASON}")
    return _CORE


def aligned(array: Any, dtype: Any = None) -> Any:
    """The array as the core reads it: contiguous, of `dtype` if given, lying where its kind of number does; else a copy."""
    made = np.ascontiguousarray(array, dtype)
    return made if made.flags.aligned else made.copy()


Method = TypeVar("Method", bound=Callable[..., Any])


def through_chain(attribute: str) -> Callable[[Method], Method]:
    """Decorates a method of one argument: an instance whose `attribute` is a Chain of the core is answered by that chain, which
    costs no frame of Python. Where it is none, or answers None, the method runs.
    """

    def decorate(method: Method) -> Method:
        return method if _CORE is None else cast("Method", _CORE.ChainMethod(attribute, method))

    return decorate


def is_available() -> bool:
    """Whether the core can be used here."""
    return _CORE is not None


def missing() -> str | None:
    """Why the extension cannot be used here, or None; the log hears of it once in a process."""
    global _told
    if _REASON is not None and not _told:
        _told = True
        logging.getLogger("congru").warning(
            "%s. Until then saved models run on NumPy and training on PyTorch's own operations, with the same"
            " results, slower.",
            _REASON[:1].upper() + _REASON[1:],
        )
    return _REASON


def about() -> str:
    """What the core runs on here, or why it cannot be used and the fix, as one line."""
    if _CORE is None:
        return f"C core: not used, {_REASON}; saved models run on NumPy"
    return f"C core: {_CORE.isa()} (of {', '.join(_CORE.isas())}), {_CORE.get_threads()} threads"


def set_threads(threads: int) -> None:
    """Threads of later calls on NumPy arrays (torch tensors follow ``torch.set_num_threads``); `threads` >= 1."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SettingsError(f"threads is {threads!r}, expected a whole number from 1: pass 1 for no helpers")
    extension().set_threads(threads)
