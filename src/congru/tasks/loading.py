"""How models are loaded: by `congru.load`, and by every task its own, with the whole answer replayed; without torch."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

from congru.errors import ModelFolderError
from congru.runtime.answer import ANSWER, Arrays, check_answer
from congru.runtime.folder import load as read_folder
from congru.runtime.integer import INTEGER
from congru.runtime.model import Model

# From a loaded model and the inputs of its stored answer to the outputs.
Reply = Callable[[Model, Arrays], Arrays]


def load(
    path: str | os.PathLike[str],
    backend: str = "auto",
    weight_dtype: str = "float32",
    verify_key: str | os.PathLike[str] | None = None,
) -> Model:
    """Load a model folder, or the one in a run folder, replay its golden cases and return the :class:`Model`.

    Needs no torch. A forecasting model also has `predict`, see :meth:`congru.Forecaster.predict`.

    `backend` and `weight_dtype` ("float32" or "bfloat16") say how its recurrent layers run, see
    :class:`congru.runtime.network.Network`; the cases are replayed in float32. `verify_key`: the public key (64 hexadecimal
    digits, or a file with them) that must have signed the folder with `congru sign`.
    Raises :class:`ModelFolderError` with one line for whatever is missing, truncated, changed or of another
    format. A folder that is replaced meanwhile is read again.
    """
    model = read_folder(path, backend, weight_dtype, verify_key)
    if (Path(__file__).parent / model.task / "opened.py").is_file():
        opened: Model = importlib.import_module(f"congru.tasks.{model.task}.opened").opened(model)
        return opened
    return model


def load_model(
    path: str | os.PathLike[str], task: str, reply: Reply | None = None, weight_dtype: str = "float32"
) -> Model:
    """Load a model folder or run folder of a task.

    ``reply(model, inputs) -> outputs`` is the task's way to answer: it must say what training stored. Rounded weights
    (``weight_dtype`` other than float32, an export in int8) answer a little differently and are not compared.

    Raises:
        ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
    """
    model = read_folder(path, weight_dtype=weight_dtype)
    check_task(model, task)
    if (
        reply is not None
        and ANSWER in model.files
        and weight_dtype == "float32"
        and INTEGER not in model.files
    ):
        check_answer(model.files[ANSWER], lambda inputs: reply(model, inputs), model.folder)
    return model


def check_task(model: Model, task: str) -> None:
    """Refuse a model of another task."""
    if model.task != task:
        raise ModelFolderError(
            f"{model.folder} is a model of the task {model.task!r}, expected {task!r}: choose another"
        )
