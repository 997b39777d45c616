"""The wheel for Windows: what its module imports, and that only two headers of the core speak to the system."""

from __future__ import annotations

import importlib.util
import re
import struct
import subprocess
import sysconfig
from pathlib import Path

import pytest

from slim import ROOT
from wheels import core_trial, windows
from wheels.__main__ import TARGETS
from wheels.zig import zig_program

needs_zig = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="zig is not installed: pip install ziglang"
)


def module_of(imports: dict[str, list[str]]) -> bytes:
    """A module of Windows with one section that holds its imports."""
    address, offset = 0x1000, 0x200
    data = bytearray(20 * (len(imports) + 1))

    def put(content: bytes) -> int:
        data.extend(content)
        return address + len(data) - len(content)

    for i, (library, names) in enumerate(imports.items()):
        thunks = [put(b"\0\0" + name.encode() + b"\0") for name in names]
        at = put(struct.pack(f"<{len(thunks) + 1}Q", *thunks, 0))
        struct.pack_into("<5I", data, 20 * i, at, 0, 0, put(library.encode() + b"\0"), at)
    header = bytearray(offset)
    struct.pack_into("<I", header, 0x3C, 0x40)
    struct.pack_into("<4s2H12x2H", header, 0x40, b"PE\0\0", 0x8664, 1, 240, 0)
    struct.pack_into("<H", header, 0x58, 0x20B)
    struct.pack_into("<I", header, 0x58 + 112 + 8, address)
    struct.pack_into("<4I", header, 0x58 + 240 + 8, len(data), address, len(data), offset)
    return bytes(header + data)


GOOD = {
    "python3.dll": ["PyLong_Type", "PyVectorcall_Call"],
    "KERNEL32.dll": ["AcquireSRWLockExclusive"],
    "api-ms-win-crt-heap-l1-1-0.dll": ["_aligned_malloc"],
}


def test_the_imports_of_a_module_are_read() -> None:
    assert windows.imports(module_of(GOOD)) == GOOD
    with pytest.raises(ValueError, match="image is no 64-bit module of Windows"):
        windows.imports(b"\x7fELF" + bytes(200))


def test_a_module_for_windows_needs_nothing_but_its_system_and_python(tmp_path: Path) -> None:
    module = tmp_path / "_core.pyd"
    module.write_bytes(module_of(GOOD))
    assert windows.unknown_imports(module, "python3.dll") == []
    module.write_bytes(
        module_of(
            {**GOOD, "libwinpthread-1.dll": ["sem_post"], "python3.dll": ["PyLong_Type", "_PyLong_New"]}
        )
    )
    assert windows.unknown_imports(module, "python3.dll") == [
        "libwinpthread-1.dll: sem_post",
        "python3.dll: _PyLong_New",
    ]
    with pytest.raises(SystemExit, match=r"imports nothing from python311\.dll, only from"):
        windows.unknown_imports(module, "python311.dll")


def test_python_declares_all_that_the_module_imports() -> None:
    include = Path(sysconfig.get_path("include"))
    if not (include / "Python.h").exists():
        pytest.skip("no Python.h: install Python's headers to read what they declare")
    assert set(windows.declared(include)) >= windows.STABLE | windows.VECTORCALL


def test_windows_has_a_wheel_for_311_and_one_for_later_versions() -> None:
    assert TARGETS["windows_x86_64"].pythons == {"cp311-cp311": "python311.dll", "cp312-abi3": "python3.dll"}
    assert TARGETS["musllinux_x86_64"].pythons == {"cp311-abi3": ""}


def test_only_the_headers_of_the_platform_speak_to_the_system() -> None:
    """The rest would not compile on Windows, or free there what it must not; a hint and a look at threads have their own #if."""
    named = re.compile(
        r"<(?:pthread|sched|threads|time)\.h>|\b(?:aligned_alloc|posix_memalign|pthread_\w+|clock_gettime)\("
    )
    using = {path.name for path in (ROOT / "core").glob("*.[ch]") if named.search(path.read_text())}
    assert using == {"platform.h", "platform_threads.h", "python_signals.c"}
    freeing = {
        path.name for path in (ROOT / "core").glob("*.[ch]") if re.search(r"\bfree\(", path.read_text())
    }
    assert freeing == {"platform.h"}


def test_an_unknown_trial_and_a_missing_wine_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert core_trial.main(["macos_arm64"]) == 2
    assert (
        "target is 'macos_arm64', expected one of windows_x86_64, musllinux_x86_64" in capsys.readouterr().err
    )
    monkeypatch.setattr(core_trial.sys, "platform", "linux")
    monkeypatch.setattr(core_trial.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(core_trial, "WINE", ("no-such-wine",))
    assert core_trial.main(["windows_x86_64"]) == 0
    assert (
        "windows_x86_64: not run, Wine is not installed (Debian: apt install wine64)"
        in capsys.readouterr().out
    )
    assert core_trial.way_to_run("musllinux_x86_64") == []


@needs_zig
def test_zig_makes_a_library_of_python_to_link_with(tmp_path: Path) -> None:
    settings = windows.python_settings(tmp_path, zig_program(), "python311.dll")
    assert b"PyLong_Type\0python311.dll\0" in Path(settings["CONGRU_PYTHON_LIBRARY"]).read_bytes()
    headers, source = settings["CONGRU_PYTHON_INCLUDE"], ROOT / "core" / "python.c"
    command = [
        zig_program(),
        "cc",
        "-target",
        "x86_64-windows-gnu",
        "-c",
        "-o",
        tmp_path / "python.obj",
        "-DPy_LIMITED_API=0x030B0000",
    ]
    done = subprocess.run([*command, f"-I{headers}", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
