"""The runtime loads, runs and streams a model in a process that cannot import torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runtime_models import save_text

PROGRAM = """
import sys
for name in ("torch", "tokenizers", "pandas", "matplotlib", "scipy", "pydantic"):
    sys.modules[name] = None  # importing it raises
import congru
session = congru.load(sys.argv[1]).session(seed=1).feed("face")
print(len("".join(session.generate(20))))
"""


def test_no_torch_is_needed(tmp_path: Path) -> None:
    save_text(tmp_path / "m")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "m")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "20"), done.stderr


def test_every_module_of_the_runtime_is_light() -> None:
    folder = Path(__file__).parents[2] / "src" / "congru" / "runtime"
    names = [f"congru.runtime.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    code = f"import sys, {', '.join(names)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
