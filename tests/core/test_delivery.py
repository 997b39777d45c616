"""What is delivered: an engine of less than a megabyte, a little for each task and door, an extension that shows one name."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import congru
from congru.kernels import binding
from congru.tasks.registry import TASKS

needs_core = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
MEGABYTE = 1_000_000
MOST_OF_A_PART = 150_000
MOST_OF_THE_PAGE = 200_000  # serve holds the built page with its script and its engine
# To other libraries, other places, browsers, sweeps, tables and contests of cells; nothing else needs them.
DOORS = ("batch", "contest", "convert", "export", "serve", "sweep")
# How other libraries lay out their weights: counted with what converts them.
LAYOUTS = tuple(f"reference/{name}.py" for name in ("conventions", "layouts", "lstm_layouts"))
# Long tables with times: counted with forecasting, the one task that reads them.
TABLES = tuple(
    f"data/{name}.py"
    for name in (
        *("column_types", "columns", "composed", "csv_file", "frequency", "grid", "holidays", "long_table"),
        *("row_checks", "row_table", "row_values", "rows", "table", "time_patterns", "times", "zones"),
    )
)
# The demos, and the list of public sets that they and the benchmarks read.
DEMOS = ("cli/demo.py", "cli/weather.py", "data/public_sets.py")
# What pays on a graphics card: kernels of Triton, and a GRU solved over all steps at once.
CARD = ("kernels/triton/", "kernels/newton.py", "nn/parallel.py")
# What several processes and machines need.
MACHINES = tuple(f"train/{name}.py" for name in ("exchange", "launch", "local_steps", "sharing", "watch"))


def packed(files: dict[str, Path]) -> int:
    """Bytes of files in an archive, compressed as pip compresses a wheel."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, path in files.items():
            wheel.write(path, name)
    return len(content.getvalue())


@needs_core
def test_a_wheel_is_below_a_megabyte_and_a_little_for_each_task_and_door() -> None:
    package = Path(congru.__file__).parent
    core = Path(binding.extension().__file__ or "")
    files = {
        str(path.relative_to(package)): path
        for path in package.rglob("*")
        if path.suffix not in (".pyc", ".so") and path.is_file()
    }
    apart = ("tasks/", *(f"{door}/" for door in DOORS), *DEMOS, *CARD, *MACHINES, *LAYOUTS, *TABLES)
    engine = {name: path for name, path in files.items() if not name.startswith(apart)}
    assert len(engine) > 100
    assert packed({core.name: core, **engine}) < MEGABYTE
    assert packed({name: files[name] for name in DEMOS}) < MOST_OF_A_PART / 10
    assert packed({name: files[name] for name in MACHINES}) < MOST_OF_A_PART / 6
    assert packed({name: path for name, path in files.items() if name.startswith(CARD)}) < MOST_OF_A_PART / 3
    for folder in (*(f"tasks/{task}" for task in TASKS), *DOORS):
        part = {name: path for name, path in files.items() if name.startswith(f"{folder}/")}
        assert len(part) > 4
        further = {"convert": LAYOUTS, "tasks/forecast": TABLES}.get(folder, ())
        part |= {name: files[name] for name in further}
        assert packed(part) < (MOST_OF_THE_PAGE if folder == "serve" else MOST_OF_A_PART), folder


@needs_core
@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed: it comes with a C compiler")
def test_the_extension_shows_one_name() -> None:
    command = ["nm", "--dynamic", "--defined-only", binding.extension().__file__ or ""]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    assert [line.split()[-1] for line in shown if line] == ["PyInit__core"]
