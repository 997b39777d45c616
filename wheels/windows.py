"""The module for Windows: what it imports from Python, and a look at all that it imports.

`zig cc` brings Windows' own import libraries; Python's are made here from its headers. From 3.12 on python3.dll, which every
later version has, offers all that the module uses; on 3.11 the vectorcall functions are only in python311.dll, so that one has
a wheel of its own, with the same objects.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sysconfig
from pathlib import Path

# The tag of a wheel, and the library of Python that its module imports from.
PYTHONS = {"cp311-cp311": "python311.dll", "cp312-abi3": "python3.dll"}
# What a module may import from beside Python: the kernel's interface, and the C runtime that Windows 10 and later have.
SYSTEM = re.compile(r"kernel32\.dll|ucrtbase\.dll|msvcrt\.dll|api-ms-win-crt-[a-z]+-l1-1-0\.dll")
# What Windows' own pyconfig.h says of the machine; the one here speaks of this system.
PYCONFIG = """
#define MS_WINDOWS 1
#define MS_WIN64 1
#define Py_ENABLE_SHARED 1
#define HAVE_DECLSPEC_DLL 1
#define HAVE_WCHAR_H 1
#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_WCHAR_T 2
"""
# Of the names in PC/python3dll.c of CPython 3.11, those that the module imports; python3.dll offers the others from 3.12 on.
STABLE = frozenset(Path(__file__).with_name("windows_names.txt").read_text().split())
VECTORCALL = frozenset(("PyObject_Vectorcall", "PyObject_VectorcallMethod", "PyVectorcall_Call"))
# CMake wants a compiler of resources for Windows; nothing is compiled with it.
CMAKE = {"CMAKE_SYSTEM_NAME": "Windows", "CMAKE_RC_COMPILER": "/bin/true"}
DECLARED = re.compile(r"PyAPI_(?:FUNC|DATA)\((?:[^()]|\([^()]*\))*\)\s*(\w+)")
WITH_SIZES = re.compile(r"\b_Py\w+_SizeT\b")  # what macros lead to


def python_settings(folder: Path, zig: Path, library: str) -> dict[str, str]:
    """What CMake must be told to compile and link for this library of Python: headers, an import library."""
    headers, name = folder / "include", Path(library).stem
    if not headers.exists():
        shutil.copytree(sysconfig.get_path("include"), headers)
        (headers / "pyconfig.h").unlink()
        (headers / "pyconfig.h").write_text(PYCONFIG)
    definition, made = folder / f"{name}.def", folder / f"{name}.lib"
    definition.write_text(f"LIBRARY {library}\nEXPORTS\n" + "\n".join(declared(headers)) + "\n")
    command = [str(zig), "dlltool", "-m", "i386:x86-64", "-d", str(definition), "-l", str(made)]
    subprocess.run(command, check=True)
    return {
        **CMAKE,
        "CONGRU_PYTHON_INCLUDE": str(headers),
        "CONGRU_PYTHON_LIBRARY": str(made),
    }


def declared(headers: Path) -> list[str]:
    """All names that Python's headers declare, and those that core/python_abi.h adds."""
    own = Path(__file__).resolve().parent.parent / "core" / "python_abi.h"
    texts = [path.read_text(errors="replace") for path in (*headers.glob("*.h"), own)]
    return sorted({name for text in texts for name in DECLARED.findall(text) + WITH_SIZES.findall(text)})


def unknown_imports(module: Path, library: str) -> list[str]:
    """Imports that Windows' system libraries and this library of Python do not offer, as ``library: name``."""
    taken = imports(module.read_bytes())
    wrong = [
        f"{name}: {symbol}"
        for name, symbols in taken.items()
        for symbol in symbols
        if not SYSTEM.fullmatch(name.lower()) and name.lower() != library
    ]
    if library not in map(str.lower, taken):
        raise SystemExit(f"{module} imports nothing from {library}, only from {', '.join(taken)}")
    return wrong + [f"{library}: {symbol}" for symbol in taken[library] if symbol not in STABLE | VECTORCALL]


def imports(image: bytes) -> dict[str, list[str]]:
    """What a 64-bit module (PE32+) imports: names by library."""
    header = struct.unpack_from("<I", image, 0x3C)[0]
    if image[header : header + 4] != b"PE\0\0" or struct.unpack_from("<H", image, header + 24)[0] != 0x20B:
        raise ValueError(
            "image is no 64-bit module of Windows, expected one that begins with the headers of PE32+"
        )
    count, optional = (
        struct.unpack_from("<H", image, header + 6)[0],
        struct.unpack_from("<H", image, header + 20)[0],
    )
    sections = [
        struct.unpack_from("<4I", image, header + 24 + optional + 40 * i + 8) for i in range(count)
    ]  # size in memory, address, size in the file, offset

    def at(address: int) -> int:
        return next(
            address - start + offset
            for size, start, in_file, offset in sections
            if start <= address < start + max(size, in_file)
        )

    def text(offset: int) -> str:
        return image[offset : image.index(b"\0", offset)].decode("ascii")

    libraries: dict[str, list[str]] = {}
    entry = at(struct.unpack_from("<I", image, header + 24 + 112 + 8)[0])  # the second data directory
    while (fields := struct.unpack_from("<5I", image, entry))[3]:
        names, thunk = libraries.setdefault(text(at(fields[3])), []), at(fields[0] or fields[4])
        while value := struct.unpack_from("<Q", image, thunk)[0]:
            names.append(f"#{value & 0xFFFF}" if value >> 63 else text(at(value) + 2))
            thunk += 8
        entry += 20
    return libraries
