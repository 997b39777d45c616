"""One export from start to end: written into a temporary folder, replayed there, and moved to `out` only if all of it agrees."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from congru.errors import ExportError, SettingsError
from congru.export.record import Export, Refused, Written
from congru.runtime.atomic import clear_leftovers, folder_beside, put_folder
from congru.runtime.folder import load
from congru.runtime.model import Model

# Target -> module and function `write(model, folder, samples)` that fills a folder and replays it.
TARGETS = {
    "onnx": "congru.export.onnx.target:write",
    "c": "congru.export.c.target:write",
    "int8": "congru.export.int8.target:write",
    "wasm": "congru.export.wasm.target:write",
    "numpy": "congru.export.arrays.target:numpy",
    "torch": "congru.export.arrays.target:torch",
    "keras": "congru.export.arrays.target:keras",
}
IN_INTEGERS = ("c", "wasm")  # targets that compute in integers what a model folder does
Samples = Mapping[str, Any]  # inputs of networks by name, as they meet them in use
Write = Callable[[Model, Path, Samples], tuple[list[Written], list[Refused], list[str]]]
MARK = "export.json"  # what tells the folder of an export from any other


def export_model(
    path: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    samples: Samples | None = None,
    judge: Callable[[Path], list[str]] | None = None,
) -> Export:
    """Write the model folder `path` as `to` into the folder `out`, which appears whole or not at all.

    Each file replays the golden cases of the model in the target; one that differs by more than 1e-4 of an array's largest value
    raises :class:`ExportError`, and nothing is left. So does a model of which the target can express no network. `samples` are
    inputs [B, T, ..] of networks by name, which calibrate "int8" beside the golden ones. `judge` sees the new folder before it is
    put in place, returns what shall be noted, and may raise. An older export at `out` is replaced; raises
    :class:`SettingsError` where something else lies there.
    """
    if to not in TARGETS:
        raise SettingsError(f"to is {to!r}, expected one of {', '.join(TARGETS)}: pass one of these")
    target = Path(out).absolute()
    _check_target(target)
    model = load(path)
    _check_integers(model, to)
    module, _, function = TARGETS[to].partition(":")
    write: Write = getattr(importlib.import_module(module), function)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(target.parent, target.name)
        with folder_beside(target) as fresh:
            written, refused, notes = write(model, fresh, samples or {})
            if not written:
                end = ": choose another target"
                reasons = "; ".join(f"{entry.network}: {entry.reason.removesuffix(end)}" for entry in refused)
                raise ExportError(
                    f"{model.folder} has no network that can be written as {to} ({reasons}){end}"
                )
            if judge is not None:
                notes = [*notes, *judge(fresh)]
            export = Export(to, target, written, refused, notes)
            (fresh / MARK).write_text(export.record(), encoding="utf-8")
            put_folder(fresh, target)
    except OSError as error:
        raise ExportError(
            f"{target} cannot be written ({error.strerror}): check space and permissions"
        ) from None
    return export


def _check_integers(model: Model, to: str) -> None:
    for name, network in model.networks.items():
        if to == "int8" and network.integers.matrices:
            raise ExportError(
                f"{model.folder} is int8 already, expected a float32 model: export the model it was made of"
            )
        if network.integers.scales and to not in IN_INTEGERS:
            raise ExportError(
                f"the network {name!r} of {model.folder} computes in integers, which {to} does not: export the float32 model it"
                f" was made of, or choose {' or '.join(IN_INTEGERS)}"
            )


def _check_target(target: Path) -> None:
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or (target / MARK).exists())):
        raise SettingsError(
            f"out is '{target}', expected nothing, an empty folder or an older export: choose another"
        )
