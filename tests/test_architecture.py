"""The shape of the house: which way imports point, what is public, how fast the front door opens."""

from __future__ import annotations

import ast
import graphlib
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import congru

SOURCE = Path(congru.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# A package may import those with a smaller number, and itself; equal numbers are siblings and stay apart.
LEVEL = {
    "errors": 0,
    "version": 0,
    "report": 1,
    "reference": 1,
    "kernels": 2,
    "ops": 3,
    "runtime": 4,
    "convert": 5,
    "data": 5,
    "gates": 5,
    "nn": 5,
    "train": 6,
    "export": 6,
    "sweep": 7,
    "contest": 8,
    "tasks": 8,
    "serve": 9,
    "batch": 9,
    "cli": 10,
    "__main__": 11,
}
VAGUE_NAMES = {"utils", "common", "helpers", "misc", "util", "helper"}


def part_of(path: Path) -> str:
    """The part of the house a file belongs to: its folder, or its own name at the top."""
    relative = path.relative_to(SOURCE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_modules(path: Path) -> set[str]:
    """Every congru module a file imports, also inside functions and by relative name."""
    package = ("congru", *path.relative_to(SOURCE).parent.parts)
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            imported.add(stem)
            imported.update(f"{stem}.{alias.name}" for alias in node.names)
    return {name for name in imported if name.startswith("congru.")}


def is_another_task(path: Path, parts: list[str]) -> bool:
    own = path.relative_to(SOURCE).parts
    return len(parts) > 2 and len(own) > 2 and (SOURCE / "tasks" / parts[2]).is_dir() and parts[2] != own[1]


def violations(path: Path) -> list[str]:
    here = part_of(path)
    wrong = []
    for module in imported_modules(path):
        parts = module.split(".")
        there = parts[1]
        if there not in LEVEL:  # a public name of the top package, such as congru.load
            continue
        if there == here:
            if here == "tasks" and is_another_task(path, parts):
                wrong.append(f"{path.relative_to(SOURCE)}: a task imports another task ({module})")
            continue
        if LEVEL[there] >= LEVEL[here]:
            wrong.append(f"{path.relative_to(SOURCE)}: {here} imports {there} ({module})")
    return wrong


@pytest.mark.parametrize("path", [p for p in FILES if p.name != "__init__.py" or p.parent != SOURCE], ids=str)
def test_imports_point_down(path: Path) -> None:
    assert part_of(path) in LEVEL, f"{path} belongs to no part of the house: give it a level in this test"
    assert violations(path) == []


def test_the_import_check_sees_an_upward_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    (tmp_path / "tasks" / "text").mkdir(parents=True)
    (tmp_path / "tasks" / "chess").mkdir()
    (tmp_path / "runtime").mkdir()
    upward = tmp_path / "runtime" / "x.py"
    upward.write_text("def f():\n    from congru.train.loop import fit\n")
    sideways = tmp_path / "tasks" / "text" / "y.py"
    sideways.write_text("from ..chess import z\n")
    down = tmp_path / "runtime" / "z.py"
    down.write_text("from congru import ops\nfrom congru.errors import CongruError\n")
    assert len(violations(upward)) >= 1
    assert len(violations(sideways)) >= 1
    assert violations(down) == []


def module_of(path: Path) -> str:
    """The dotted name of a file: `congru.gates.trace`, and of a package's __init__.py `congru.gates`."""
    parts = ("congru", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_between_files(files: list[Path]) -> dict[str, set[str]]:
    """For each file the files it imports, also inside functions and for type checkers only.

    `from congru.gates import trace` names the file trace.py; only a name that is no file stands for the package's
    own __init__.py.
    """
    modules = {module_of(path): path for path in files}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        targets: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = (
                    ".".join(package.split(".")[: len(package.split(".")) + 1 - node.level])
                    if node.level
                    else ""
                )
                stem = ".".join(part for part in (base, node.module) if part)
                names = {f"{stem}.{alias.name}" for alias in node.names}
                targets |= names & modules.keys() or {stem}
                if not names <= modules.keys():
                    targets.add(stem)
        graph[module] = (targets & modules.keys()) - {module}
    return graph


def circles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """The sets of files that reach each other through imports."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for other in graph[waiting.pop()] - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    reach = {module: reached(module) for module in graph}
    every = {frozenset(b for b in reach[a] if a in reach[b]) for a in graph if a in reach[a]}
    return sorted(every, key=sorted)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert [sorted(circle) for circle in circles(imports_between_files(FILES))] == []


def test_the_circle_check_sees_imports_in_functions_and_for_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    (tmp_path / "a").mkdir()
    texts = {
        "a/__init__.py": "from congru.a.x import f\n",
        "a/x.py": "from congru.a import y\ndef f():\n    return y\n",
        "a/y.py": "def g():\n    from .z import h\n",
        "a/z.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from congru.a.x import f\n",
        "b.py": "import congru.a.x\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    graph = imports_between_files(sorted(tmp_path.rglob("*.py")))
    assert graph["congru.a.y"] == {"congru.a.z"}
    assert circles(graph) == [frozenset({"congru.a.x", "congru.a.y", "congru.a.z"})]


WEB = Path(__file__).parent.parent / "web" / "src"


def web_imports(folder: Path) -> dict[str, set[str]]:
    """For each file of the page, without its suffix, the files of the page that it imports, also for types only."""
    graph: dict[str, set[str]] = {}
    for path in sorted([*folder.rglob("*.ts"), *folder.rglob("*.tsx")]):
        targets = re.findall(r"""(?:from|import\(?)\s*["'](\.[^"']*)["']""", path.read_text(encoding="utf-8"))
        reached = [(path.parent / target).resolve() for target in targets]
        graph[path.relative_to(folder).with_suffix("").as_posix()] = {
            target.relative_to(folder.resolve()).as_posix()
            for target in reached
            if target.is_relative_to(folder.resolve())
            and any(target.with_suffix(end).exists() for end in (".ts", ".tsx"))
        }
    return graph


def test_no_files_of_the_page_import_each_other_in_a_circle() -> None:
    graph = web_imports(WEB)
    assert all("protocol" in graph[name] for name in ("engine", "gates", "site", "socket"))
    assert [sorted(circle) for circle in circles(graph)] == []


def test_the_circle_check_of_the_page_sees_imports_of_types_and_later_ones(tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    (tmp_path / "a.ts").write_text('import type { B } from "./views/b";\nimport "./style.css";\n')
    (tmp_path / "views" / "b.tsx").write_text('export { c } from "../c";\nimport { h } from "preact";\n')
    (tmp_path / "c.ts").write_text('const a = await import("./a");\n')
    (tmp_path / "d.ts").write_text('import { a } from "./a";\n')
    graph = web_imports(tmp_path)
    assert graph["d"] == {"a"}
    assert circles(graph) == [frozenset({"a", "views/b", "c"})]


def ordered(folder: Path) -> list[str]:
    """The files of a folder, each after those it imports; raises `graphlib.CycleError` where there is no such order."""
    package = ".".join(("congru", *folder.relative_to(SOURCE).parts))
    stems = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    graph = {
        stem: {other for other in stems if f"{package}.{other}" in imported_modules(folder / f"{stem}.py")}
        for stem in stems
    }
    return list(graphlib.TopologicalSorter(graph).static_order())


def test_the_kernels_do_not_import_in_a_circle() -> None:
    order = ordered(SOURCE / "kernels")
    files = ["binding", "native_ops", "native_rules", "native_torch", "native"]
    assert sorted(files, key=order.index) == files


def test_the_check_for_circles_sees_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "a.py").write_text("from congru.kernels import b\n")
    (tmp_path / "kernels" / "b.py").write_text("def f():\n    from congru.kernels.a import g\n")
    with pytest.raises(graphlib.CycleError):
        ordered(tmp_path / "kernels")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_says_what_it_is_for_and_has_a_telling_name(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no opening docstring"
    assert path.stem not in VAGUE_NAMES


def test_public_names() -> None:
    assert set(congru.__all__) == {
        "CongruError",
        "Forecaster",
        "Pool",
        "__version__",
        "convert",
        "explain",
        "gates",
        "inspect",
        "load",
        "nn",
        "reference",
        "tasks",
    }
    assert len(congru.__all__) <= 12
    for name in congru.__all__:
        assert getattr(congru, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        congru.nope  # noqa: B018


def best_seconds(arguments: list[str], repetitions: int = 10) -> float:
    """User time of the fastest of several whole processes: what others do on the machine does not count."""
    seconds = []
    for _ in range(repetitions):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return min(seconds)


def loaded_modules(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


HEAVY = {
    "torch",
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "lightning_fabric",
    "tokenizers",
    "onnx",
    "scipy",
}


@pytest.mark.parametrize(
    "statement",
    [
        "import congru",
        "import congru.reference, congru.ops, congru.runtime, congru.gates, congru.tasks",
        "import congru; congru.load, congru.explain, congru.inspect",
        "import congru.cli.main, congru.tasks.text, congru.tasks.forecast, congru.train.settings",
    ],
)
def test_light_imports_load_nothing_heavy(statement: str) -> None:
    assert loaded_modules(statement) & HEAVY == set()


def test_the_layers_leave_torchs_compiler_alone() -> None:
    pytest.importorskip("torch")
    assert "torch._dynamo" not in loaded_modules("import congru.nn, congru.train")


def test_import_is_fast() -> None:
    assert best_seconds(["-c", "import congru"]) < 0.5


def test_help_is_fast() -> None:
    assert best_seconds(["-m", "congru.cli.main", "--help"]) < 0.6


# Names that say less than the field's term, and the term; a word of another meaning stands where it is allowed.
OLD_NAMES = {
    "run_up": "burn-in",
    "bookends": "provenance",
    "surroundings": "provenance",
    "told_once": "on_rank_zero",
    "ARRIVING": "grad outputs",
    "arriving": "grad outputs",
    "known_inputs": "known covariates",
    "came": "actual",
    "pull": "cotangent, or vjp",
    "entering": "h_prev",
    "found": "what was found: match, matches, files, notes, predictions",
    "given": "what was given: options, column, inputs",
    "place": "index, column, rank, location, path",
    "places": "indices, locations, placeholders",
    "said": "what was said: sentence, reference, output, predicted",
}
ALLOWED = {
    "place": {"tasks/chess/attacks.py"},
    "places": {"kernels/batched_gradients.py", "tasks/chess/attacks.py"},
    "entering": {
        "runtime/decoding/viterbi.py",
        "tasks/assistant/crf.py",
        "export/c/integers.py",
    },
}


def test_old_names_are_gone() -> None:
    for path in FILES:
        names = {
            getattr(node, "id", getattr(node, "arg", getattr(node, "attr", getattr(node, "name", None))))
            for node in ast.walk(ast.parse(path.read_text()))
        }
        file = path.relative_to(SOURCE).as_posix()
        assert not [
            f"{file}: {old}, say {new}"
            for old, new in OLD_NAMES.items()
            if old in names and file not in ALLOWED.get(old, ())
        ]
