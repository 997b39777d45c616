"""`congru inspect MODEL [INPUT]`: the gates of a model on one input, as one offline page and a few lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import BadZipFile

from cyclopts import App, Parameter

from congru.cli.run import is_converted, task_of
from congru.errors import SettingsError
from congru.runtime.folder import called, find_model_folder

if TYPE_CHECKING:
    from congru.gates.reading import Prediction, Reading

app = App(name="inspect", help="See the gates of a model: one offline report.")


@app.default
def inspect(
    model: Path,
    source: str | None = None,
    /,
    *,
    layer: str | None = None,
    out: Annotated[Path, Parameter(alias="-o")] = Path("report.html"),
) -> int:
    """Show what every gate does: recovered from the model's own states, checked, on one offline page.

    Parameters
    ----------
    model:
        A model folder, a run folder, an ONNX file with GRU, LSTM or RNN nodes, or a torch model in a Python file of
        your own: FILE.py:NAME (the file is run).
    source:
        What the model reads: a text, a file or a series for its task; for an ONNX file or a torch model a .npy array,
        or a .npz file with one array for each of its inputs, by name. Default: what the task has at hand (text: what
        the model writes, forecast: the last window).
    layer:
        The recurrent layer to show, where the model has several. Default: the last, with those of its size.
    out:
        Where to write the page.
    """
    import congru
    from congru.gates.reading import Reading
    from congru.gates.report import report
    from congru.gates.summary import summary_of

    extra: list[tuple[str, str, str]] = []
    reading: Reading | None = None
    file, _, name = str(model).rpartition(":")
    if file.endswith(".py") or model.suffix == ".py":
        loaded = _python_object(Path(file or model), name if file else "")
        trace = congru.inspect(loaded, _arrays(str(model), source), layer=layer)
    elif model.suffix == ".onnx" or is_converted(find_model_folder(model)):
        trace = congru.inspect(model, _arrays(str(model), source), layer=layer)
    else:
        folder = find_model_folder(model)
        task = task_of(folder)
        more = getattr(task.part("use"), "inspect_extra", None)
        loaded = congru.load(folder)
        task.replay(loaded)
        extra = more(loaded, source) if more is not None else []
        reading = task.reading(loaded, source)
        trace = congru.inspect(loaded, reading.x, tokens=reading.tokens, labels=reading.outputs, layer=layer)
    if reading is None:
        reading = Reading(None, trace.tokens[0])
    trace.check()
    print(trace)
    if len(trace.layer_names) > 1 and layer is None:
        print(f"recurrent layers: {', '.join(trace.layer_names)} (choose one with --layer)")
    print(trace.text(colored=sys.stdout.isatty()))
    for line in summary_of(trace, reading.steps):
        print(f"  {line}")
    if reading.predict is not None and not reading.adds_up:
        print_lost_bits(reading, reading.predict(trace))
    about = {"from": model.name, **({"read": source} if source else {})}
    context = {"about": about, "extra": extra, "reading": reading}
    print(f"wrote {report(trace, out, title=f'Gates of {called(model)}', context=context)}")
    return 0


def print_lost_bits(reading: Reading, predictions: Sequence[Prediction]) -> None:
    """What the last prediction would lose without its largest parts, where shares that add up do not exist."""
    from congru.gates.opening import without_words

    choice = predictions[-1].choices[0] if predictions else None
    if choice is not None and choice.shares is not None:
        print(
            f"  {reading.predicts}, {choice.name} at {choice.value}, {without_words(reading, choice.shares)}"
        )


def _arrays(model: str, source: str | None) -> Any:
    """The array of a .npy file, or the arrays of a .npz file by name."""
    import numpy as np

    if source is None or not source.endswith((".npy", ".npz")):
        raise SettingsError(
            f"input of {model} is {source!r}, expected a .npy file: save the array with numpy.save (several inputs: "
            "numpy.savez, by name)"
        )
    try:
        if source.endswith(".npy"):
            return np.load(source, allow_pickle=False)
        with np.load(source, allow_pickle=False) as parts:
            return dict(parts)
    except (OSError, ValueError, BadZipFile) as error:
        raise SettingsError(f"input is '{source}' ({error}), expected a .npy array: check the file") from None


def _python_object(file: Path, name: str) -> Any:
    """The object of that name in a Python file, which is run as a script of its folder is."""
    if not file.is_file():
        raise SettingsError(f"model is '{file}:{name}', expected a Python file: {file} does not exist")
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.path.insert(0, str(file.parent.resolve()))
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    models = [
        key
        for key, value in vars(module).items()
        if hasattr(value, "named_modules") and not isinstance(value, type)
    ]
    if name not in models:
        known = (
            ", ".join(f"{file.name}:{key}" for key in models) or f"{file} makes none outside its functions"
        )
        raise SettingsError(f"model is '{file.name}:{name}', expected a torch model of that file: {known}")
    return vars(module)[name]
