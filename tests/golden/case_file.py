"""How a golden case is stored: one .npz written by a generator beside it, read by the tests.

    about           JSON: system, cell, options of `congru.reference.conventions.to_canonical`, num_layers,
                    num_directions, clip (null or the attribute of ONNX)
    x [B, T, I], y [B, T, D*H], lengths [B] where given
    state_0, final_0 [L*D, B, H]: h; LSTM also state_1, final_1: c
    k/NAME          the library's own array NAME of layer l, direction d, k = l*D + d

Run a generator with the libraries it names, from the repository: `python tests/golden/generate_torch.py`.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent


class GoldenCase(NamedTuple):
    """What one file holds."""

    about: dict[str, Any]
    x: np.ndarray
    lengths: np.ndarray | None
    state: tuple[np.ndarray, ...]
    arrays: list[dict[str, np.ndarray]]
    y: np.ndarray
    final: tuple[np.ndarray, ...]


def draw(seed: int, *shape: int) -> np.ndarray:
    """Return float32 numbers in -1.5 .. 1.5, none of them zero."""
    numbers = np.random.default_rng(seed).uniform(-1.5, 1.5, shape).astype(np.float32)
    assert np.all(numbers)
    return numbers


def save(name: str, case: GoldenCase) -> None:
    """Write tests/golden/NAME.npz."""
    files = {"about": np.array(json.dumps(case.about)), "x": case.x, "y": case.y}
    if case.lengths is not None:
        files["lengths"] = case.lengths
    files |= {f"state_{k}": part for k, part in enumerate(case.state)}
    files |= {f"final_{k}": part for k, part in enumerate(case.final)}
    for k, arrays in enumerate(case.arrays):
        files |= {f"{k}/{array_name}": array for array_name, array in arrays.items()}
    np.savez_compressed(FOLDER / f"{name}.npz", **files)
    print(f"{name}.npz: y {case.y.shape}")


def load(path: Path) -> GoldenCase:
    """Read a golden case; no pickle."""
    with np.load(path, allow_pickle=False) as file:
        files = {name: file[name] for name in file.files}
    about = json.loads(str(files["about"]))
    arrays: list[dict[str, np.ndarray]] = [{} for _ in range(about["num_layers"] * about["num_directions"])]
    for name, array in files.items():
        index, slash, array_name = name.partition("/")
        if slash:
            arrays[int(index)][array_name] = array
    state, final = (
        tuple(files[f"{part}_{k}"] for k in range(2) if f"{part}_{k}" in files) for part in ("state", "final")
    )
    return GoldenCase(about, files["x"], files.get("lengths"), state, arrays, files["y"], final)


def about(system: str, cell: str, **more: Any) -> dict[str, Any]:
    """Return the description of a case: one layer, one direction, no options, unless told."""
    return {
        "system": system,
        "cell": cell,
        "options": {},
        "num_layers": 1,
        "num_directions": 1,
        "clip": None,
        **more,
    }


def record_versions(generator: str, *packages: str) -> None:
    """Write the versions a generator ran with into versions.json."""
    path = FOLDER / "versions.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known[generator] = {package: version(package) for package in ("numpy", *packages)}
    path.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")
