"""`congru inspect MODEL [INPUT]`: the gates of a model on one input, as one offline page and a few lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from congru.cli.run import task_of
from congru.errors import SettingsError
from congru.runtime.folder import find_model_folder

app = App(name="inspect", help="See the gates of a model: one offline report.")


@app.default
def inspect(
    model: Path,
    source: str | None = None,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")] = Path("report.html"),
) -> int:
    """Show what every gate does: recovered from the model's own states, checked, on one offline page.

    Parameters
    ----------
    model:
        A model folder, a run folder, or an ONNX file with GRU, LSTM or RNN nodes.
    source:
        What the model reads: a text, a file or a series for its task; for an ONNX file a .npy array.
        Default: what the task has at hand (text: what the model writes, forecast: the last window).
    out:
        Where to write the page.
    """
    import congru
    from congru.gates.report import report

    if model.suffix == ".onnx":
        trace = congru.inspect(model, _array(model, source))
    else:
        folder = find_model_folder(model)
        inputs = task_of(folder).use("inspect_inputs")
        loaded = congru.load(folder)
        x, labels = inputs(loaded) if source is None else inputs(loaded, source)
        trace = congru.inspect(loaded, x, tokens=labels)
    trace.check()
    print(trace)
    print(trace.text(colored=sys.stdout.isatty()))
    for line in trace.summary():
        print(f"  {line}")
    about = {"model folder": model.name, "input": source or "default of the task"}
    print(f"wrote {report(trace, out, title=f'Gates of {model.name}', context={'about': about})}")
    return 0


def _array(model: Path, source: str | None) -> Any:
    import numpy as np

    if source is None or not source.endswith(".npy"):
        raise SettingsError(
            f"input of {model} is {source!r}, expected a .npy file: save the array with numpy.save"
        )
    try:
        return np.load(source, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SettingsError(f"input is '{source}' ({error}), expected a .npy array: check the file") from None
