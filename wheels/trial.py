"""`python -m wheels.trial`: every wheel of dist/ that can run here, installed and used where there is no compiler.

The venv gets what PyPI has for the runtime; its PATH holds neither cc, gcc nor clang. A wheel for arm64 runs under qemu-user,
in Debian's Python for arm64 (apt-get; as root, on Debian only). One for musl runs in the Python that CONGRU_MUSL_PYTHON names: a
CPython built with musl-gcc (docs/install.md).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from wheels.__main__ import DIST

# Debian packages that make up Python 3.11 for arm64.
FOREIGN = (
    *(
        "libc6",
        "libgcc-s1",
        "libstdc++6",
        "zlib1g",
        "libexpat1",
        "libssl3",
        "libffi8",
        "libbz2-1.0",
        "liblzma5",
    ),
    *(
        "libsqlite3-0",
        "libuuid1",
        "libcrypt1",
        "libpython3.11-minimal",
        "python3.11-minimal",
        "libpython3.11-stdlib",
    ),
)
Trial = Callable[[Path, Path], subprocess.CompletedProcess[str]]
CHECK = """
import sys, shutil
assert not any(map(shutil.which, ("cc", "gcc", "clang"))), "a compiler is on the path"
import numpy as np
from congru import ops
from congru.cli.doctor import doctor
from congru.kernels import binding
from congru.reference import gru
weights = [np.random.default_rng(0).standard_normal(s).astype("float32") for s in ((24, 5), (24, 8), (24,), (24,))]
x = np.ones((2, 7, 5), "float32")
y, _, _ = ops.sequence("gru", x, None, weights)
assert np.abs(y - gru.forward(x, None, weights)[0]).max() < 1e-5
assert binding.is_available() is (sys.argv[1] == "core"), binding.about()
print(binding.about())
sys.exit(doctor())
"""


def main() -> int:
    """Try what can run here; the names of the others are printed."""
    failed = 0
    for wheel in sorted(DIST.glob("congru-*.whl")):
        way = trial_of(wheel)
        if way is None:
            print(f"{wheel.name}: made, cannot run here")
            continue
        with tempfile.TemporaryDirectory() as folder:
            done = way(wheel, Path(folder))
        line = done.stdout.strip().splitlines()
        core = next((text for text in line if text.startswith("C core")), "")
        print(f"{wheel.name}: {'runs' if not done.returncode else 'FAILS'}; {core}", flush=True)
        if done.returncode:
            failed += 1
            print(done.stdout + done.stderr, file=sys.stderr)
    return 1 if failed else 0


def trial_of(wheel: Path) -> Trial | None:
    """How a wheel is tried here; None where it cannot run."""
    if wheel.name.endswith("-none-any.whl") or (
        "manylinux" in wheel.name and platform.machine() in wheel.name
    ):
        return in_venv if sys.platform == "linux" or wheel.name.endswith("-none-any.whl") else None
    if (
        "musllinux" in wheel.name
        and platform.machine() in wheel.name
        and os.environ.get("CONGRU_MUSL_PYTHON")
    ):
        return under_musl
    arm_on_debian = "manylinux" in wheel.name and "aarch64" in wheel.name and shutil.which("apt-get")
    return under_qemu if arm_on_debian and os.geteuid() == 0 else None


def in_venv(wheel: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Install it with pip into a fresh venv and run the check with an empty PATH."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", str(wheel)], check=True)
    kind = "pure" if wheel.name.endswith("-none-any.whl") else "core"
    return checked([str(python)], kind, {"PATH": str(python.parent)})


def under_musl(wheel: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Unpack PyPI's wheels for musl and run the check with CONGRU_MUSL_PYTHON, where a system has both C libraries."""
    python, machine = os.environ["CONGRU_MUSL_PYTHON"], platform.machine()
    ask = [python, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
    version = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", f"--target={folder}"]
    kinds = [f"--platform=musllinux_{libc}_{machine}" for libc in ("1_1", "1_2")]
    wanted = [str(wheel), "numpy<2"]  # later ones are linked for musl 1.2.4, Debian 12 has 1.2.3
    subprocess.run([*pip, *kinds, f"--python-version={version}", "--implementation=cp", *wanted], check=True)
    return checked([python], "core", {"PYTHONPATH": str(folder), "PATH": str(folder)})


def under_qemu(wheel: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Unpack Debian's Python for arm64 and PyPI's wheels for it, and run the check under qemu-user."""
    apt("install", "-y", "-qq", "--no-install-recommends", "qemu-user-static")
    root, packages = folder / "root", folder / "packages"
    root.mkdir()
    subprocess.run(["dpkg", "--add-architecture", "arm64"], check=True)
    try:
        apt("update", "-qq")
        apt("download", "-qq", *(f"{name}:arm64" for name in FOREIGN), cwd=folder)
    finally:
        subprocess.run(["dpkg", "--remove-architecture", "arm64"], check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", f"--target={packages}"]
    kinds = [f"--platform=manylinux{glibc}_aarch64" for glibc in ("2014", "_2_17", "_2_27", "_2_28")]
    subprocess.run([*pip, *kinds, "--python-version=3.11", "--implementation=cp", str(wheel)], check=True)
    command = [
        shutil.which("qemu-aarch64-static") or "",
        "-L",
        str(root),
        str(root / "usr/bin/python3.11"),
        "-S",
    ]
    places = {"PYTHONPATH": str(packages), "PYTHONHOME": str(root / "usr"), "PATH": str(folder)}
    return checked(command, "core", places)


def apt(*words: str, cwd: Path | None = None) -> None:
    """Run apt-get without questions."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", *words], check=True, cwd=cwd, env=environment, stdout=subprocess.DEVNULL)


def checked(
    python: Sequence[str], kind: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the check with this Python."""
    return subprocess.run([*python, "-c", CHECK, kind], env=environment, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
