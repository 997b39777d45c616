"""`congru export MODEL --to TARGET`: a trained model for another place, proved equal on the golden cases of its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from congru.cli.run import task_of
from congru.errors import CongruError, ExportError, SettingsError
from congru.runtime.folder import find_model_folder

app = App(
    name="export",
    help="Write a trained model for another place, proved equal.",
    default_parameter=Parameter(consume_multiple=True, negative=()),
)


@app.default
def export(
    model: Path,
    /,
    *,
    to: Literal["onnx", "c", "int8", "wasm", "numpy", "torch", "keras"],
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    data: tuple[str, ...] = (),
    max_change: float | None = None,
    json_output: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Write every network of a model for another runtime, replay the golden cases there, and say how far they agree.

    Nothing is left where a network differs by more than 1e-4 of the largest value of an output or state.

    Parameters
    ----------
    model:
        A model folder, or the run folder that holds one.
    to:
        onnx: a file for whole sequences and one for single steps of every network. c: one C99 file and its header, the steps of
        all networks that stream, with the golden cases as its test program. int8: the same model folder with int8 weights, whose
        GRUs compute in integers. wasm: the steps of all networks that stream for browsers and Node. numpy, torch,
        keras: one Python file on that library alone, and its weights.
    out:
        The folder to write. Default: the name of MODEL with the target, beside it, such as romeo-onnx.
    data:
        int8: score the model and its int8 twin on this data, as `congru eval` does.
    max_change:
        int8: write nothing where the first score of --data gets worse by more than this many percent.
    json_output:
        Print every figure as JSON.
    """
    from congru.export.exporter import export_model

    if (data or max_change is not None) and to != "int8":
        raise SettingsError(
            f"data and max_change are given, expected them with --to int8 alone, not {to}: leave them out"
        )
    if max_change is not None and not data:
        raise SettingsError(
            f"max_change is {max_change} without data, expected --data to measure it on: give both"
        )
    folder = find_model_folder(model)
    samples = _at_hand(folder) if to == "int8" else {}
    judge = _scores_beside(folder, data, max_change) if data else None
    destination = out or model.with_name(f"{model.resolve().name}-{to}")
    done = export_model(model, to, destination, samples=samples, judge=judge)
    print(done.record() if json_output else f"{done.folder}\n{done.table()}", end="" if json_output else "\n")
    return 0


def _at_hand(folder: Path) -> dict[str, Any]:
    """The input that `congru inspect` reads by default, of the network that reads it; nothing where the task has none."""
    from congru.gates.sources.model_folder import network_of
    from congru.runtime.folder import load

    try:
        model = load(folder)
        x, _ = task_of(folder).use("inspect_inputs")(model)
        network = network_of(model, x)
    except (CongruError, TypeError):
        return {}
    return {name: x for name, other in model.networks.items() if other is network}


def _scores_beside(
    folder: Path, data: tuple[str, ...], max_change: float | None
) -> Callable[[Path], list[str]]:
    """Scores a new folder and the old one; refuses a loss of the first score above `max_change` percent."""
    from congru.report.table import text_table

    def judge(fresh: Path) -> list[str]:
        task = task_of(folder)
        evaluate = task.use("evaluate")
        before, after = (
            next(iter(evaluate(model_folder, *data, quiet=True).values())) for model_folder in (folder, fresh)
        )
        rows = [(name, before[name], after[name], _percent(before[name], after[name])) for name in before]
        name, old, new, change = rows[0]
        loss = -change if task.is_rising(name) else change
        if max_change is not None and loss > max_change:
            raise ExportError(
                f"int8 changes {name} from {old:.4f} to {new:.4f}, {change:+.2f} %, expected {max_change} % at most:"
                " keep float32, or allow more with --max-change"
            )
        return [text_table(rows, ("score", "float32", "int8", "change, %"))]

    return judge


def _percent(before: float, after: float) -> float:
    return 100 * (after - before) / abs(before) if before else 0.0
