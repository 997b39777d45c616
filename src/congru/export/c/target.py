"""`--to c`: MODEL.c and MODEL.h with the steps of all networks that stream, and MODEL_test.c with the golden cases."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from congru.errors import ExportError
from congru.export.c.compiler import STRICT, compile_c, find_compiler, flash_bytes
from congru.export.c.golden_program import golden_source
from congru.export.c.program import CNetwork, c_network, header, identifier, source
from congru.export.cases import TOLERANCE, golden_cases
from congru.export.record import Refused, Written, time_beside
from congru.export.source import model_name, source_step
from congru.runtime.model import Model


def write(
    model: Model, folder: Path, samples: Mapping[str, Any]
) -> tuple[list[Written], list[Refused], list[str]]:
    """Write the files, compile them strictly, and run the test.

    Raises :class:`ExportError` where the compiler complains or a network differs from its golden cases.
    """
    name = identifier(model_name(model))
    networks, refused = dict[str, CNetwork](), list[Refused]()
    for key, network in model.networks.items():
        try:
            networks[key] = c_network(network, key, f"{name}_{key}")
        except ExportError as error:
            refused.append(Refused(key, "step", str(error).removeprefix(f"{key} cannot be written as C, ")))
    if not networks:
        return [], refused, []
    cases = golden_cases(model)
    about = f"{model_name(model)}: a model of the task {model.task}"
    (folder / f"{name}.h").write_text(header(name, networks, about))
    (folder / f"{name}.c").write_text(source(name, networks, about))
    (folder / f"{name}_test.c").write_text(golden_source(name, networks, cases))
    measured = _tried(folder, name)
    code = _code_bytes(folder, name, source(name, networks, about, hollow=True))
    written = []
    for key, made in networks.items():
        off, us = measured[f"{key} error"], measured[f"{key} us"]
        if not off <= TOLERANCE:
            raise ExportError(
                f"{name}.c differs from the golden cases of its folder: {key} by {off:.1e}, expected {TOLERANCE:.0e}"
                " at most: nothing was written, please report this model"
            )
        beside = time_beside({"source": source_step(made.network, cases[key][0])})["source"]
        facts: dict[str, int | float | str] = {
            "weights, B": made.weight_bytes,
            "RAM, B": made.ram,
            "multiply-adds": made.writer.macs,
        }
        written.append(Written(key, "step", f"{name}.c", made.weight_bytes, off, us, beside, facts))
    flash = sum(made.weight_bytes for made in networks.values()) + code
    return written, refused, [f"{name}.c in all: {flash:,} bytes of flash, {code:,} of them code (-Os)"]


def _tried(folder: Path, name: str) -> dict[str, float]:
    """What the test prints; the folder is left as it was."""
    program = folder / "test"
    sources = [folder / f"{name}.c", folder / f"{name}_test.c"]
    try:
        compile_c(find_compiler(), [*STRICT, "-O3", "-march=native"], sources, program)
        done = subprocess.run([str(program), "time"], capture_output=True, text=True)
        words = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
        return {key: float(value) for key, value in words}
    finally:
        program.unlink(missing_ok=True)


def _code_bytes(folder: Path, name: str, hollow: str) -> int:
    """Bytes of the functions alone, compiled for size."""
    path, made = folder / "hollow.c", folder / "hollow.o"
    try:
        path.write_text(hollow)
        compile_c(find_compiler(), [*STRICT, "-Os", "-c"], [path], made)
        return flash_bytes(made) or 0
    finally:
        path.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
