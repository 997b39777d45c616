"""`congru export MODEL --to TARGET`: a trained model as ONNX or C, proved equal on the golden cases of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="export", help="Write a trained model for another place, proved equal.")


@app.default
def export(
    model: Path,
    /,
    *,
    to: Literal["onnx", "c"],
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    json_output: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Write every network of a model for another runtime, replay the golden cases there, and say how far they agree.

    Nothing is left where a network differs by more than 1e-4 of the largest value of an output or state.

    Parameters
    ----------
    model:
        A model folder, or the run folder that holds one.
    to:
        onnx: a file for whole sequences and one for single steps of every network. c: one C99 file and its header, the steps of
        all networks that stream, with the golden cases as its test program.
    out:
        The folder to write. Default: the name of MODEL with the target, beside it, such as romeo-onnx.
    json_output:
        Print every figure as JSON.
    """
    from congru.export.exporter import export_model

    done = export_model(model, to, out or model.with_name(f"{model.resolve().name}-{to}"))
    print(done.record() if json_output else f"{done.folder}\n{done.table()}", end="" if json_output else "\n")
    return 0
