"""The full state of a run in one file, ``last/checkpoint.pt``: replaced atomically, read without pickle.

It holds tensors, numbers, strings, tuples, lists and dicts only, so ``torch.load(..., weights_only=True)``
reads it.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from congru.errors import RunFolderError
from congru.train.folder import write_bytes

FORMAT = "congru-checkpoint"
VERSION = 2


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``folder/checkpoint.pt``; the previous one stays until it is on the disk."""
    buffer = io.BytesIO()  # torch.save into a file reports a full disk as an unrelated RuntimeError
    torch.save({"format": FORMAT, "version": VERSION, **state}, buffer)
    write_bytes(folder / "checkpoint.pt", buffer.getvalue(), sync=True)


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint to continue from."""
    return (folder / "checkpoint.pt").is_file()


def load(folder: Path) -> dict[str, Any]:
    """Read the checkpoint in ``folder``, all tensors on the CPU.

    Raises:
        RunFolderError: truncated, changed, or written by another program.
    """
    path = folder / "checkpoint.pt"
    fix = "start another run with another --out"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
        reason = " ".join(str(error).split())[:80]
        raise RunFolderError(f"{path} cannot be read ({reason}), expected a checkpoint: {fix}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT or state.get("version") != VERSION:
        raise RunFolderError(f"{path} is not a checkpoint of version {VERSION}: {fix}")
    return state
