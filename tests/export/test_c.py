"""C99: every streaming node type and option under strict compilers, every task's streaming networks, and what is refused."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from congru.errors import ExportError
from congru.export.c import compiler, target
from congru.export.c.compiler import STRICT, compile_c, flash_bytes, zig
from congru.export.c.emitters import C
from congru.export.c.golden_program import golden_source as program_of_cases
from congru.export.c.program import CNetwork, c_network, header, source
from congru.export.c.writer import KERNELS, Writer, literal, needed
from congru.export.exporter import export_model
from congru.export.int8.quantised import quantised_network
from congru.export.record import time_beside
from congru.runtime.folder import load
from export_cases import ALL, STREAMING, TEXT, cases_of, random_network, save_networks, task_networks
from nodes_cases import one

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler is here; to run this: apt-get install gcc"
)
TASKS = task_networks()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "time_beside", lambda functions: time_beside(functions, 0.002))


def written(folder: Path, names: list[str]) -> list[Path]:
    """One C file of many networks, and its test."""
    networks: dict[str, CNetwork] = {}
    cases = {}
    for k, name in enumerate(names):
        network = random_network(ALL[name])
        networks[f"n{k}"] = c_network(network, f"n{k}", f"all_n{k}")
        cases[f"n{k}"] = cases_of(network, ALL[name])
    for name, text in (
        ("all.h", header("all", networks, "all nodes")),
        ("all.c", source("all", networks, "all nodes")),
        ("all_test.c", program_of_cases("all", networks, cases)),
    ):
        (folder / name).write_text(text)
    return [folder / "all.c", folder / "all_test.c"]


def test_every_streaming_node_and_option(tmp_path: Path) -> None:
    names = [name for name in STREAMING if name != "rows beside a memory"]
    sources = written(tmp_path, names)
    compile_c(["cc"], [*STRICT, "-O0", "-DALL_STATIC"], sources, tmp_path / "all")
    done = subprocess.run([str(tmp_path / "all")], capture_output=True, text=True)
    errors = {names[int(k)]: float(e) for k, e in re.findall(r"n(\d+) error (\S+)", done.stdout)}
    assert set(errors) == set(names)
    assert {name: error for name, error in errors.items() if error > 3e-6} == {}
    assert done.returncode == 0
    assert "malloc" not in sources[0].read_text()
    assert re.findall("#include <.*>", sources[0].read_text()) == []


@pytest.mark.parametrize("flag", ["-DCONGRU_SINGLE", "-U__SSE__"])
def test_processors_without_double_precision_or_vectors(flag: str, tmp_path: Path) -> None:
    """What a compiler for them takes, and what it computes."""
    config = one("gru", {"x": {"features": 9}}, hidden_size=53)
    save_networks(tmp_path / "m", {"main": config})
    export_model(tmp_path / "m", "c", tmp_path / "out")
    sources = [tmp_path / "out" / "m.c", tmp_path / "out" / "m_test.c"]
    compile_c(["cc"], [*STRICT, "-O2", flag], sources, tmp_path / "program")
    done = subprocess.run([str(tmp_path / "program")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert float(done.stdout.split()[-1]) < 3e-6


def test_clang_accepts_it_too(tmp_path: Path) -> None:
    if shutil.which("clang") is None and importlib.util.find_spec("ziglang") is None:
        pytest.skip("clang is not installed; to run this: pip install ziglang")
    command = ["clang"] if shutil.which("clang") else zig()
    path, _ = written(tmp_path, [name for name in STREAMING if name != "rows beside a memory"])
    compile_c(command, [*STRICT, "-c"], [path], tmp_path / "all.o")


def test_every_kernel_is_used_by_some_node() -> None:
    used: set[str] = set()
    for name in STREAMING:
        if name != "rows beside a memory":
            network = random_network(ALL[name])
            small, _ = quantised_network(network, cases_of(network, ALL[name]))
            for each in (network, small):
                used.update(c_network(each, name, "p").writer.kernels)
    assert used == {path.stem for path in KERNELS.glob("*.h")}
    assert needed("running_softmax") == ["exp"]


@pytest.mark.parametrize("task", ["translate", "sentiment, whole"])
def test_networks_of_tasks(task: str, tmp_path: Path) -> None:
    folder = save_networks(tmp_path / "my model", TASKS[task])
    model = load(folder)
    streaming = {name for name, network in model.networks.items() if network.stream_problem() is None}
    if not streaming:
        with pytest.raises(ExportError, match=r"no network that can be written as c .* bidirectional"):
            export_model(folder, "c", tmp_path / "out")
        return
    export = export_model(folder, "c", tmp_path / "out")
    assert {entry.network for entry in export.written} == streaming
    assert {entry.network for entry in export.refused} == set(model.networks) - streaming
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "export.json",
        "my_model.c",
        "my_model.h",
        "my_model_test.c",
    ]
    for entry in export.written:
        assert entry.error < 1e-5
        assert entry.step_us > 0
        arrays = model.networks[entry.network].weights
        joined = sum(
            w.nbytes * 2 // 3 for name, w in arrays.items() if ".bias_hh" in name
        )  # with the input's
        assert entry.facts["weights, B"] == sum(w.nbytes for w in arrays.values()) - joined
    assert re.search(r"my_model.c in all: [\d,]+ bytes of flash", export.notes[0])


def test_working_memory_is_used_again() -> None:
    c = Writer("p")
    a, b = c.buffer(8), c.buffer(4)
    c.line("", f"f({a}, x);")
    c.line("", f"g({b}, {a});")
    late = c.buffer(6)
    c.line("", f"h({late}, {b});")
    assert c.placed() == (["f(scratch, x);", "g(scratch + 8, scratch);", "h(scratch, scratch + 8);"], 12)


def test_numbers_are_read_back_bit_for_bit(tmp_path: Path) -> None:
    values = np.float32([0.1, 1 / 3, 1e-45, 3.4028235e38, -2.0, 123456.79, 1e10])
    for value in values:
        assert np.float32(literal(value).removesuffix("f")) == value


def test_a_file_that_differs_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_networks(tmp_path / "model", {"main": TEXT})
    right = C.by_type["linear"]

    def wrong(c: Writer, call: object, x: object) -> object:
        y = right(c, call, x)
        c.line("add", f"add({y.text}, {y.text}, 1);")
        return y

    monkeypatch.setitem(C.by_type, "linear", wrong)
    with pytest.raises(ExportError, match=r".*\.c differs from the golden cases of its folder: main by"):
        export_model(folder, "c", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_what_c_cannot_hold_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = random_network(ALL["rows beside a memory"])
    with pytest.raises(
        ExportError, match=r"the node 'wide' \(concat\) computes over a memory, which may have any length"
    ):
        c_network(network, "main", "p")
    (tmp_path / "bad.c").write_text("int f(void) { return unknown; }\n")
    with pytest.raises(ExportError, match=r"cc refuses bad.c: .*unknown"):
        compile_c(["cc"], ["-c"], [tmp_path / "bad.c"], tmp_path / "bad.o")
    assert flash_bytes(tmp_path / "bad.c") is None
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ExportError, match="no C compiler is here, expected cc, gcc, clang or the package ziglang"
    ):
        compiler.find_compiler()
