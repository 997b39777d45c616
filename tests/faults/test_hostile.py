"""Files made to do harm, and files changed at random, give one line: never a traceback, a hang or gigabytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from congru.errors import CongruError
from faults import hostile, mutation
from faults.targets import TARGETS

TIMES = 60  # inputs of each target, its seeds among them


def test_every_hostile_file_is_refused_in_a_line(tmp_path: Path) -> None:
    hostile.refuse_all(tmp_path).check(40)


@pytest.mark.parametrize("name", TARGETS)
def test_changed_files_give_the_packages_own_errors(name: str) -> None:
    if name.startswith("ONNX"):
        pytest.importorskip("onnxruntime")
    target = TARGETS[name]()
    mutation.fuzz(name, target.run, target.seeds, max(TIMES, len(target.seeds))).check(TIMES)


def test_the_fuzzer_finds_what_only_new_lines_lead_to() -> None:
    from congru.runtime.plain_json import parse_json

    def run(content: bytes) -> None:
        if parse_json(content) == 7:
            raise RuntimeError("found")

    with pytest.raises(AssertionError, match="RuntimeError: found"):
        mutation.fuzz("a planted fault", _own_errors(run), [b"1"], 4000).check(1)


def _own_errors(run):  # type: ignore[no-untyped-def]
    def guarded(content: bytes) -> None:
        try:
            run(content)
        except ValueError as error:
            raise CongruError(str(error)) from None

    return guarded
