"""The whole answer of a model folder, replayed: what a task's `use` says, decoding and calibration included.

`answer.safetensors` holds a small input as `input.NAME` and what training computed for it as `output.NAME`. The
golden cases compare networks; this one compares everything a user sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from safetensors import SafetensorError

from congru.errors import CongruError, ModelFolderError
from congru.runtime.tensors import format_arrays, of_owner, parse_tensors, prefixed, relative_error

ANSWER = "answer.safetensors"
TOLERANCE = 1e-3  # relative to the largest absolute value of an output

Arrays = Mapping[str, NDArray[Any]]


class Answer(NamedTuple):
    """Inputs and outputs by name; strings are arrays of their UTF-8 bytes."""

    inputs: Arrays
    outputs: Arrays

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return format_arrays(prefixed({"input": self.inputs, "output": self.outputs}, "."))


def check_answer(content: bytes, reply: Callable[[Arrays], Arrays], folder: Path) -> None:
    """Replay an answer: `reply(inputs) -> outputs` must give what training gave.

    Raises :class:`ModelFolderError` where it differs, or the file is damaged.
    """
    try:
        tensors = parse_tensors(content)
    except (SafetensorError, ValueError) as error:
        raise ModelFolderError(
            f"{folder / ANSWER} is not a safetensors file ({error}): copy the folder again"
        ) from None
    inputs, expected = (of_owner(tensors, what, ".") for what in ("input", "output"))
    try:
        outputs = reply(inputs)
    except ModelFolderError:
        raise  # it says all
    except CongruError as error:
        raise ModelFolderError(f"{folder / ANSWER} cannot be replayed ({error}): train anew") from None
    for name, value in expected.items():
        problem = _difference(outputs.get(name), value)
        if problem:
            raise ModelFolderError(
                f"{folder / ANSWER}: the answer {name!r} {problem}: update congru, or train anew"
            )


def _difference(actual: NDArray[Any] | None, expected: NDArray[Any]) -> str | None:
    if actual is None or actual.shape != expected.shape:
        shape = "nothing" if actual is None else f"shape {actual.shape}"
        return f"is {shape}, expected shape {expected.shape} as in training"
    error = relative_error(actual, expected)
    if not error <= TOLERANCE:
        return f"is off by {error:.1e} of its largest value, expected at most {TOLERANCE:.0e} as in training"
    return None
