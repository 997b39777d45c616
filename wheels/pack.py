"""A wheel with a compiled module from one of pure Python: the module added, tags and sums rewritten (PEP 427)."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

FOLDER = "congru/kernels"  # of the module


def with_core(pure: Path, core: Path, tag: str, folder: Path) -> Path:
    """Write the wheel of `pure` with the extension module `core` and this tag, such as cp311-abi3-macosx_11_0_arm64."""
    name, version = pure.name.split("-")[:2]
    python, abi, platforms = tag.split("-")
    with zipfile.ZipFile(pure) as wheel:
        files = {member: wheel.read(member) for member in wheel.namelist() if not member.endswith("/RECORD")}
    info = f"{name}-{version}.dist-info"
    tags = "".join(f"Tag: {python}-{abi}-{platform}\n" for platform in platforms.split("."))
    kept = [
        line
        for line in files[f"{info}/WHEEL"].decode().splitlines()
        if line and not line.startswith(("Tag:", "Root-Is-Purelib:"))
    ]
    files[f"{info}/WHEEL"] = ("\n".join(kept) + "\nRoot-Is-Purelib: false\n" + tags).encode()
    files[f"{FOLDER}/{core.name}"] = core.read_bytes()
    record = "".join(f"{member},{_sum(content)},{len(content)}\n" for member, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in files.items():
            wheel.writestr(member, content)
    return out


def _sum(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()}"
