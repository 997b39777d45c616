"""How models are loaded: by `congru.load`, and by every task its own, with the whole answer replayed; without torch.

What a task builds of a loaded model is decorated with :func:`fitting`: a folder of an older version, or one that was put together
by hand, whose files, settings and networks do not belong together is refused in one line.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from congru.errors import CongruError, ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER, Arrays, check_answer
from congru.runtime.folder import load as read_folder
from congru.runtime.integer import INTEGER
from congru.runtime.model import Model
from congru.runtime.network import Network

# From a loaded model and the inputs of its stored answer to the outputs.
Reply = Callable[[Model, Arrays], Arrays]

Built = TypeVar("Built")
MISFITS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What Python and NumPy raise where parts that do not belong together meet."""


class Later(NamedTuple):
    """A kind of value that folders of older versions lack."""

    kind: Any


class Number(NamedTuple):
    """A kind of value: a number from `low` to `high`; `whole` ones only where it says so."""

    low: float
    high: float
    whole: bool = False

    def __str__(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"


SHARE = Number(0, 1)


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


@contextlib.contextmanager
def named_by(setting: str) -> Iterator[None]:
    """Begin the line about a folder that cannot be loaded with the setting that names it."""
    try:
        yield
    except ModelFolderError as error:
        raise ModelFolderError(f"{setting}: {error}") from None


def start_model(folder: Path, task: str, file: str | None = None) -> Model:
    """The model that training starts from, which must be one of the task, with `file` in its folder where it is named.

    Raises:
        ModelFolderError: a folder that cannot be loaded.
        SettingsError: a model of another task.
    """
    with named_by("start_from"):
        model = read_folder(folder)
    if model.task != task or (file is not None and file not in model.files):
        raise SettingsError(
            f"start_from is '{folder}', a model of the task {model.task!r}, expected one of congru train {task}:"
            " choose another folder"
        )
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
    if reply is not None and weight_dtype == "float32":
        replay(model, reply)
    return model


def replay(model: Model, reply: Reply) -> None:
    """Compare the stored answer of a model with what `reply` says now; int8 models answer a little differently and are not asked.

    Raises:
        ModelFolderError: the model answers differently, or its parts do not belong together.
    """
    if ANSWER not in model.files or INTEGER in model.files:
        return
    try:
        check_answer(model.files[ANSWER], lambda inputs: reply(model, inputs), model.folder)
    except CongruError:
        raise
    except MISFITS as error:
        raise misfit(model, error) from error


def check_task(model: Model, task: str) -> None:
    """Refuse a model of another task."""
    if model.task != task:
        raise ModelFolderError(
            f"{model.folder} is a model of the task {model.task!r}, expected {task!r}: choose another"
        )


def fitting(**kinds: Any) -> Callable[[Callable[..., Built]], Callable[..., Built]]:
    """Decorate what builds a task's object of a loaded model, `build(owner, model, ...)`: raises only the package's own errors.

    The task is the one in whose folder `build` stands: a model of another one is refused first. `kinds` says what the values of
    `task_config` are, as in :func:`check_config`.
    """

    def decorate(build: Callable[..., Built]) -> Callable[..., Built]:
        task = build.__module__.removeprefix(f"{__package__}.").partition(".")[0]

        @functools.wraps(build)
        def checked(owner: Any, model: Model, *rest: Any, **options: Any) -> Built:
            check_task(model, task)
            check_config(model, **kinds)
            try:
                return build(owner, model, *rest, **options)
            except CongruError:
                raise
            except MISFITS as error:
                raise misfit(model, error) from error

        return checked

    return decorate


def misfit(model: Model, error: BaseException) -> ModelFolderError:
    """The line about a folder whose parts do not belong together."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
    return ModelFolderError(
        f"{model.folder} does not fit the task {model.task!r} ({reason}), expected the files, settings and networks of one"
        " training: copy the folder again or train anew"
    )


def need_nodes(network: Network, names: tuple[str, ...], folder: Path) -> None:
    """Raise :class:`ModelFolderError` for the first node that a network of a model lacks."""
    for name in names:
        if name not in network.graph.node_names:
            raise ModelFolderError(
                f"{folder}: the network has no node {name!r}, expected one: copy the folder again or train anew"
            )


def check_config(model: Model, **kinds: Any) -> None:
    """Raise :class:`ModelFolderError` for the first value of `task_config` that is missing or of another kind.

    A kind is a type, a :class:`Number`, a value itself such as None or "char", or a tuple of kinds of which one must fit; what
    :class:`Later` names may be missing.
    """
    config: Mapping[str, Any] = model.task_config
    for name, kind in kinds.items():
        if isinstance(kind, Later):
            if name not in config:
                continue
            kind = kind.kind
        if not _fits(config[name], kind):
            raise ModelFolderError(
                f"{model.folder}: task_config has {name} = {config[name]!r:.60}, expected {_words(kind)}:"
                " copy the folder again or train anew"
            )


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, Number):
        numbers = int if kind.whole else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and kind.low <= value <= kind.high
    if isinstance(kind, tuple):
        return any(_fits(value, one) for one in kind)
    if isinstance(kind, type):
        return isinstance(value, kind)
    return type(value) is type(kind) and bool(value == kind)


def _words(kind: Any) -> str:
    if isinstance(kind, tuple) and not isinstance(kind, Number):
        return " or ".join(map(_words, kind))
    if isinstance(kind, type):
        return f"a {kind.__name__}"
    return str(kind) if isinstance(kind, Number) else repr(kind)
