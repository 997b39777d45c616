"""How every task loads its own models: the right task, and the whole answer replayed; without torch."""

from __future__ import annotations

import os
from collections.abc import Callable

from congru.errors import ModelFolderError
from congru.runtime.answer import ANSWER, Arrays, check_answer
from congru.runtime.folder import load
from congru.runtime.integer import INTEGER
from congru.runtime.model import Model

# From a loaded model and the inputs of its stored answer to the outputs.
Reply = Callable[[Model, Arrays], Arrays]


def load_model(
    path: str | os.PathLike[str], task: str, reply: Reply | None = None, weight_dtype: str = "float32"
) -> Model:
    """Load a model folder or run folder of a task.

    ``reply(model, inputs) -> outputs`` is the task's way to answer: it must say what training stored. Rounded weights
    (``weight_dtype`` other than float32, an export in int8) answer a little differently and are not compared.

    Raises:
        ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
    """
    model = load(path, weight_dtype=weight_dtype)
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
