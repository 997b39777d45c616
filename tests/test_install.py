"""Installing on any machine: with a compiler, with one that pip fetches, without any; wheels for others; missing extras."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest

from congru.errors import EXTRAS, MissingPackageError, missing_package
from congru.kernels import binding
from slim import ROOT, extras, make_slim, run_slim
from wheels import __main__ as wheel_command
from wheels import backend, macos, pack, zig
from wheels.__main__ import TARGETS, main


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without torch, compiler and core."""
    return make_slim(tmp_path_factory.mktemp("pure"), core=False)


# The way to a compiler


def with_programs(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """A PATH with these programs only."""
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    for name in ("CC", "CONGRU_CORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(backend.platform, "machine", lambda: "x86_64")


def test_a_compiler_of_this_machine_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_programs(tmp_path, monkeypatch, "gcc", "mycc")
    assert (backend.way_to_compile(), backend.compiler_here()) == ("here", "gcc")
    monkeypatch.setenv("CC", "mycc -m64")
    assert backend.compiler_here() == "mycc"
    assert not any("ziglang" in line for line in backend.get_requires_for_build_wheel())


def test_without_one_pip_is_asked_for_ziglang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_programs(tmp_path, monkeypatch)
    assert backend.way_to_compile() == "zig"
    assert backend.ZIG in backend.get_requires_for_build_wheel()
    assert backend.ZIG in backend.get_requires_for_build_editable()


def test_where_there_is_none_at_all_the_package_is_pure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_programs(tmp_path, monkeypatch)
    monkeypatch.setattr(backend.platform, "machine", lambda: "loongarch64")
    assert backend.way_to_compile() == "off"
    assert backend.get_requires_for_build_wheel() == []
    monkeypatch.setattr(backend.sys, "platform", "win32")
    with_programs(tmp_path, monkeypatch, "gcc")
    assert backend.way_to_compile() == "off"


def test_a_pure_wheel_is_built_without_cmake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    with_programs(tmp_path, monkeypatch)
    monkeypatch.setenv("CONGRU_CORE", "off")
    name = backend.build_wheel(str(tmp_path))
    assert name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(tmp_path / name) as wheel:
        members = wheel.namelist()
    assert "congru/kernels/binding.py" in members
    assert not any("_core" in member for member in members)
    assert "without the C core" in capfd.readouterr().err


def test_zig_is_called_for_the_machine_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ziglang").mkdir()
    (tmp_path / "ziglang" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    commands = zig.zig_commands(tmp_path, "aarch64-linux-gnu.2.17")
    script = Path(commands["CMAKE_C_COMPILER"]).read_text()
    assert script.endswith(' cc -target aarch64-linux-gnu.2.17 "$@"\n')
    assert str(tmp_path / "ziglang" / "zig") in script
    assert Path(commands["CMAKE_AR"]).read_text().endswith(' ar "$@"\n')
    assert commands["CMAKE_LINK_DEPENDS_USE_LINKER"] == "OFF"


# Wheels for others


def test_a_wheel_with_the_core_has_its_tags_and_sums(tmp_path: Path) -> None:
    source, core = tmp_path / "congru-1.0-py3-none-any.whl", tmp_path / "_core.abi3.so"
    core.write_bytes(b"machine code")
    with zipfile.ZipFile(source, "w") as wheel:
        wheel.writestr("congru/__init__.py", "")
        wheel.writestr(
            "congru-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("congru-1.0.dist-info/RECORD", "")
    tag = f"cp311-abi3-{TARGETS['manylinux_aarch64'].tag}"
    with zipfile.ZipFile(pack.with_core(source, core, tag, tmp_path)) as wheel:
        names = wheel.namelist()
        about = wheel.read("congru-1.0.dist-info/WHEEL").decode().splitlines()
        record = wheel.read("congru-1.0.dist-info/RECORD").decode().splitlines()
        contents = {name: wheel.read(name) for name in names}
    assert about == [
        "Wheel-Version: 1.0",
        "Root-Is-Purelib: false",
        "Tag: cp311-abi3-manylinux_2_17_aarch64",
        "Tag: cp311-abi3-manylinux2014_aarch64",
    ]
    listed = dict(line.rsplit(",", 1)[0].split(",", 1) for line in record)
    assert listed.pop("congru-1.0.dist-info/RECORD") == ""
    assert set(listed) == set(names) - {"congru-1.0.dist-info/RECORD"}
    for name, listed_sum in listed.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest()).rstrip(b"=").decode()
        assert listed_sum == f"sha256={digest}", name


def test_an_unknown_kind_of_machine_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["windows_arm64"]) == 2
    assert "target is 'windows_arm64', expected one of manylinux_x86_64" in capsys.readouterr().err


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_wheels_for_macos_need_a_linker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pure = tmp_path / "congru-1.0-py3-none-any.whl"
    pure.write_bytes(b"wheel")
    monkeypatch.setattr(wheel_command, "build_pure", lambda folder: pure)
    monkeypatch.setattr(wheel_command, "DIST", tmp_path / "dist")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["macos_arm64"]) == 0
    assert (
        "macos_arm64: left out, ld64.lld is not installed (Debian: apt install lld)"
        in capsys.readouterr().out
    )
    script(tmp_path, "ld64.lld-19", "exit 0")
    assert macos.linker() == str(tmp_path / "ld64.lld-19")


def test_a_module_for_macos_needs_nothing_but_its_system_and_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    package = tmp_path / "ziglang"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = [f"ld64.lld: error: undefined symbol: {name}" for name in ("_PyErr_Format", "__Py_Dealloc")]
    script(tmp_path, "ld64.lld", "\n".join(f"echo '{line}' >&2" for line in lines))
    assert macos.unknown_symbols("arm64", tmp_path) == []
    script(
        tmp_path, "ld64.lld", f"echo '{lines[0]}' >&2; echo 'error: undefined symbol: _sched_setaffinity' >&2"
    )
    assert macos.unknown_symbols("arm64", tmp_path) == ["_sched_setaffinity"]
    script(tmp_path, "ld64.lld", "echo 'no such file' >&2")
    with pytest.raises(SystemExit, match="named no symbol of Python: no such file"):
        macos.unknown_symbols("arm64", tmp_path)


def test_the_module_keeps_to_the_stable_interface_of_python(tmp_path: Path) -> None:
    compiler, include = shutil.which("cc"), sysconfig.get_path("include")
    if compiler is None or not (Path(include) / "Python.h").exists():
        pytest.skip("no C compiler or no Python.h: install both to check the module's sources")
    flags = ["-fsyntax-only", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-DPy_LIMITED_API=0x030B0000"]
    sources = sorted((ROOT / "core").glob("python*.c"))
    assert len(sources) >= 8
    done = subprocess.run(
        [compiler, *flags, f"-I{include}", f"-I{ROOT / 'core'}", *map(str, sources)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_users_build_treats_no_warning_as_an_error() -> None:
    text = (ROOT / "core" / "CMakeLists.txt").read_text()
    assert text.count("-Werror") == 1
    assert 'option(CONGRU_WERROR "warnings are errors" OFF)' in text


# Without the core, and without what extras bring


def test_without_the_core_everything_runs_and_says_so_once(pure: Path) -> None:
    code = (
        "import numpy as np; from congru import ops; w = [np.ones(s, 'f') for s in ((6, 3), (6, 2), (6,), (6,))]\n"
        "for _ in range(3): y = ops.sequence('gru', np.ones((1, 4, 3), 'f'), None, w)[0]\n"
        "print(ops.explain('gru', np.ones((1, 4, 3), 'f'), None, w), y.shape)"
    )
    done = run_slim(pure, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "runs on 'reference'" in done.stdout
    assert done.stderr.count("The C core is not in this installation: pip install") == 1
    assert done.stderr.count("\n") == 1


def test_doctor_says_what_is_missing_and_what_to_type(pure: Path) -> None:
    done = run_slim(pure, "-m", "congru", "doctor")
    assert done.returncode == 0, done.stderr
    assert "C core: not used, the C core is not in this installation: pip install" in done.stdout
    assert "missing  torch              training: pip install 'congru[train]'" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        "train text x.txt",
        "compare forecast x.csv",
        "bench memory --steps 1",
        "demo",
        "data get tinyshakespeare",
    ],
)
def test_a_command_without_its_extra_names_the_line_to_type(pure: Path, words: str, tmp_path: Path) -> None:
    done = run_slim(pure, "-m", "congru", *words.split(), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(
        r"congru: \w+ is not installed, expected by this command: pip install 'congru\[train\]'\n",
        done.stderr,
    )


def test_the_lines_to_type_next_run_or_name_what_is_missing(pure: Path, tmp_path: Path) -> None:
    """The three lines after a training, here on models that were saved elsewhere, without torch or any extra."""
    (tmp_path / "new.txt").write_text("The cat comes on little feet.\n" * 5)
    for task in ("text", "forecast"):
        shutil.copytree(ROOT / "tests" / "tasks" / "folders" / f"{task}-format-1", tmp_path / task)
    lines = ["run text", "eval text new.txt", "inspect text", "run forecast", "inspect forecast"]
    code = (
        "from congru.cli.main import main\n"
        f"for line in {lines!r}:\n"
        "    try: main(line.split())\n"
        "    except SystemExit as stop: print('status', line, stop.code)\n"
    )
    done = run_slim(pure, "-c", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    status = dict(re.findall(r"^status (.*) (\d+)$", done.stdout, re.MULTILINE))
    assert status == {line: "2" if line.startswith("inspect") else "0" for line in lines}, done.stderr
    missing = "congru: matplotlib is not installed, expected by this command: pip install 'congru[plots]'"
    assert done.stderr.splitlines()[1:] == [missing] * 2


def test_training_from_python_names_it_too(pure: Path) -> None:
    code = (
        "import congru\n"
        "try: congru.tasks.text.train('x.txt')\n"
        "except congru.CongruError as error: print(type(error).__name__, error)"
    )
    done = run_slim(pure, "-c", code)
    assert done.stdout.startswith("MissingPackageError torch is not installed"), done.stderr


def test_every_optional_package_has_its_extra() -> None:
    distributions = {
        "cozy_chess": "cozy-chess-py",
        "vega_datasets": "vega_datasets",
        "mlflow": "mlflow-skinny",
        "PIL": "pillow",
    }
    for module, extra in EXTRAS.items():
        name = distributions.get(module, module.replace("_", "-"))
        assert any(re.split(r"[^\w-]", line)[0] == name for line in extras()[extra]), module
        error = missing_package(ModuleNotFoundError(name=f"{module}.inner"))
        assert isinstance(error, MissingPackageError)
        assert f"congru[{extra}]" in str(error)
    assert missing_package(ModuleNotFoundError(name="numpy")) is None
    used = {
        match
        for path in (ROOT / "src").rglob("*.py")
        for match in re.findall(r'require\("(\w+)', path.read_text())
    }
    assert used - {"no_such_module"} <= set(EXTRAS)


def test_no_extra_is_empty() -> None:
    """An extra that no code asks for opens nothing."""
    development = {"all", "bench", "demo", "dev", "docs", "wheels"}
    assert set(extras()) - development == set(EXTRAS.values()) - development


def test_the_number_of_cores_is_known_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(binding.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(binding.os, "cpu_count", lambda: 3)
    assert binding.num_cores() == 3
