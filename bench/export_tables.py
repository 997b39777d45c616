"""The table of docs/export.md, made from results/export.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.tables import markdown, result

_COLUMNS = {
    "onnx": "ONNX",
    "c": "C",
    "c, int8": "C, int8",
    "wasm": "WebAssembly",
    "wasm, int8": "WebAssembly, int8",
    "int8": "int8 folder",
    "numpy": "NumPy",
    "torch": "torch",
    "keras": "Keras",
}
_FLOAT = [target for target in _COLUMNS if "int8" not in target]
_TIMED = [
    "c",
    "c, int8",
    "int8",
    "wasm",
    "onnx",
    "numpy",
    "torch",
    "keras",
]  # in the table of one row for each task


def export() -> str:
    """Task and network x target: largest error, size, microseconds a step (of the step form where there is one)."""
    rows = []
    for task, targets in result("export")["figures"]["tasks"].items():
        names = dict.fromkeys(entry["network"] for part in targets.values() for entry in part["written"])
        for name in names:
            entries = {target: _entry(targets.get(target), name) for target in _COLUMNS}
            source = next(entry["source_us"] for entry in entries.values() if entry)
            cells = [_cell(entries[target]) for target in _COLUMNS]
            rows.append([f"{task}, {name}", f"{source:.1f}", *cells])
    return markdown(["task, network", "session of the runtime", *_COLUMNS.values()], rows)


_SHOWN = {"translate": "decoder"}  # of a task with several networks, the one that steps; else "main"


def export_by_task() -> str:
    """One row for each task: its network that streams, in every target; error and size are the largest of any float32 target."""
    rows, tasks, scores = [], result("export")["figures"]["tasks"], result("int8_scores")["figures"]
    for task, targets in tasks.items():
        name = _SHOWN.get(task, "main")
        entries = {target: _entry(targets.get(target), name) for target in _COLUMNS}
        floats = [entry for target in _FLOAT if (entry := entries[target])]
        size, whole = max(map(_kilobytes, floats)), entries["int8"]
        rows.append(
            [
                task,
                f"{max(entry['error'] for entry in floats):.0e}",
                f"{size:,.0f}" + (f" / {_kilobytes(whole):,.0f}" if whole else ""),
                *(_microseconds(entries[target]) for target in _TIMED),
                _change(scores.get(task, {})),
            ]
        )
    names = [_COLUMNS[target] for target in _TIMED]
    return markdown(["us a step", "error", "kB / int8", *names, "int8 on its score"], rows)


def int8_scores() -> str:
    """Every score of trained models in float32 and int8."""
    rows = []
    for task, models in result("int8_scores")["figures"].items():
        for scores in models.values():
            for name, change in scores["change, %"].items():
                if name != "plies":
                    rows.append(
                        [
                            task,
                            name,
                            f"{scores['float32'][name]:.4f}",
                            f"{scores['int8'][name]:.4f}",
                            f"{change:+.2f}",
                        ]
                    )
    return markdown(["model", "score", "float32", "int8", "change, %"], rows)


def _change(models: dict[str, Any]) -> str:
    """The change of a task's first score, in percent."""
    for scores in models.values():
        return f"{next(iter(scores['change, %'].values())):+.2f} %"
    return "-"


def microcontrollers() -> str:
    """A GRU of 64 by 64: flash by processor, RAM, the error under emulators."""
    rows = []
    for name, figures in result("export")["figures"]["microcontrollers"].items():
        errors = (
            ", ".join(f"{emulator} {error:.1e}" for emulator, error in figures["error"].items()) or "not run"
        )
        flash = [f"{figures['flash'][processor]:,}" for processor in figures["flash"]]
        rows.append([name, *flash, f"{figures['RAM']:,}", errors])
    processors = list(result("export")["figures"]["microcontrollers"]["int8"]["flash"])
    return markdown(
        ["GRU, 64 inputs, 64 units", *(f"flash, {p}" for p in processors), "RAM", "largest error"], rows
    )


def _entry(part: dict[str, Any] | None, name: str) -> dict[str, Any] | None:
    """The step form of a network, else its only form."""
    if part is None:
        return None
    forms = {entry["form"]: entry for entry in part["written"] if entry["network"] == name}
    return forms.get("step") or next(iter(forms.values()), None)


def _cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return f"{entry['error']:.0e}, {_kilobytes(entry):,.0f} kB, {entry['step_us']:.1f}"


def _kilobytes(entry: dict[str, Any]) -> float:
    return float(entry["facts"].get("weights, B", entry["bytes"])) / 1000


def _microseconds(entry: dict[str, Any] | None) -> str:
    return "-" if entry is None else f"{entry['step_us']:.1f}"


BLOCKS: dict[str, Callable[[], str]] = {
    "export": export,
    "export_by_task": export_by_task,
    "int8_scores": int8_scores,
    "microcontrollers": microcontrollers,
}
