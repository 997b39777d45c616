"""Python files on NumPy, torch and Keras: every node type and option, state, gradients, and nothing of congru in them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import congru
from congru.errors import ExportError, MissingPackageError
from congru.export.arrays import library, target
from congru.export.exporter import export_model
from congru.export.record import Export
from export_cases import ALL, TEXT, save_networks

NAMES = list(ALL)


def exported(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Export:
    """One export of every node type and option, a network each."""
    monkeypatch.setattr(target, "time_beside", lambda functions: dict.fromkeys(functions, 1.0))
    save_networks(folder / "model", {f"n{k}": ALL[name] for k, name in enumerate(NAMES)})
    return export_model(folder / "model", kind, folder / "out")


@pytest.mark.parametrize("kind", ["numpy", "torch", "keras"])
def test_every_node_type(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(kind) is None:
        pytest.skip(f"{kind} is not installed; to run this: pip install {kind}")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    export = exported(tmp_path, kind, monkeypatch)
    errors = {NAMES[int(entry.network[1:])]: entry.error for entry in export.written}
    assert set(errors) == set(NAMES)
    assert {name: error for name, error in errors.items() if error > 2e-6} == {}
    assert export.refused == []


def test_the_numpy_file_needs_numpy_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "time_beside", lambda functions: dict.fromkeys(functions, 1.0))
    folder = save_networks(tmp_path / "romeo", {"main": TEXT})
    export_model(folder, "numpy", tmp_path / "out")
    code = (
        "import sys; sys.modules['congru'] = sys.modules['torch'] = None\n"
        "import numpy as np, romeo\n"
        "model, state, rows = romeo.Model(), None, []\n"
        "for token in (3, 1, 4):\n"
        "    y, state = model.run('main', {'text': np.array([[token]])}, state)\n"
        "    rows.append(y['head'][0, 0])\n"
        "np.save('rows.npy', rows)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "out", check=True, timeout=60)
    expected, _ = congru.load(folder).run([[3, 1, 4]])
    np.testing.assert_allclose(np.load(tmp_path / "out" / "rows.npy"), expected[0], atol=1e-6)


def test_the_torch_file_is_a_module_that_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(target, "time_beside", lambda functions: dict.fromkeys(functions, 1.0))
    folder = save_networks(tmp_path / "romeo", {"main": TEXT})
    export_model(folder, "torch", tmp_path / "out")
    model = target._module(tmp_path / "out" / "romeo.py").Model()
    assert set(model.state_dict()) == set(congru.load(folder).weights)
    outputs, _ = model("main", {"text": torch.tensor([[3, 1, 4], [1, 5, 9]])})
    (outputs["head"] ** 2).sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters()
    )


def test_a_mistake_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(library.__file__).read_text()
    wrong = tmp_path / "library.py"
    wrong.write_text(text.replace("n + z * (h - n)]", "h + z * (n - h)]"))
    monkeypatch.setattr("congru.export.arrays.program.LIBRARY", wrong)
    folder = save_networks(tmp_path / "romeo", {"main": TEXT})
    with pytest.raises(ExportError, match=r"main in romeo.py differs from the golden cases"):
        export_model(folder, "numpy", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_keras_without_its_backend_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*names: str) -> None:
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(target, "require", fails)
    folder = save_networks(tmp_path / "romeo", {"main": TEXT})
    with pytest.raises(
        ExportError, match=r"Keras cannot start \(No module named 'tensorflow'\), expected a backend"
    ):
        export_model(folder, "keras", tmp_path / "out")


def test_a_missing_library_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    folder = save_networks(tmp_path / "romeo", {"main": TEXT})
    with pytest.raises(
        MissingPackageError,
        match=r"keras is not installed, expected by this command: pip install 'congru\[keras\]'",
    ):
        export_model(folder, "keras", tmp_path / "out")
