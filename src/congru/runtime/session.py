"""A session: one model running over a stream, step by step, with a state that can be saved, restored and
forked.

Any cutting of the stream into `step`, `run` and `feed` gives the same outputs, bit for bit, on the native core and on
NumPy; the two differ from one another by rounding. On the native core the weights are packed once, by the first step,
and the state then lies in the steppers until somebody asks for it.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as format_tensors

from congru.errors import ModelFolderError, SettingsError, ShapeError
from congru.runtime.atomic import write_whole
from congru.runtime.cells import Array
from congru.runtime.decoding.sampling import Sampling, sample
from congru.runtime.network import State
from congru.runtime.steps import Steps
from congru.runtime.tokenizer import Tokenizer

if TYPE_CHECKING:
    from congru.runtime.model import Model

_FORMAT = "congru-session-1"
_SHORT = 16  # steps up to which a chunk is not worth packing the weights for


class Session:
    """Runs a model over a stream; made by `Model.session`.

    A session of `batch_size` 1 takes one step as a token or [I] and a chunk as [T] or [T, I], and answers
    without batch axis; with a batch axis in front it answers with one. `seed` makes `generate` repeatable.
    """

    def __init__(self, model: Model, seed: int | None = None, batch_size: int = 1) -> None:
        problem = model.network.stream_problem()
        if problem:
            raise SettingsError(
                f"session() cannot stream this model, {problem}: call model.run(x) on whole sequences"
            )
        for name, value, least in (("batch_size", batch_size, 1), ("seed", 0 if seed is None else seed, 0)):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise SettingsError(f"{name} is {value!r}, expected a whole number of at least {least}")
        self.model, self.batch_size = model, int(batch_size)
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self._network = model.network
        self._steps: Steps | None = None  # made by the first step, where the native core runs the model
        self._state: State | None = self._network.initial_state(self.batch_size)  # None: in the steps
        self._last: Array | None = None

    @property
    def last(self) -> Array | None:
        """The output of the last step, [O] or [B, O] where batch_size > 1; None before the first step."""
        if self._last is None:
            return None
        return self._last[0].copy() if self.batch_size == 1 else self._last.copy()

    @property
    def state(self) -> State:
        """A copy of the state: "<layer>.h" (and "<layer>.c") -> [L*D, B, H]. Assign one to go on from
        there.
        """
        return {name: value.copy() for name, value in self._current().items()}

    @state.setter
    def state(self, state: Mapping[str, ArrayLike]) -> None:
        checked = self._network.check_state(state, self.batch_size)
        self._state = {name: value.copy() for name, value in checked.items()}

    def reset(self) -> Session:
        """Go back to the initial state; the random generator goes on. Returns the session."""
        self._state, self._last = self._network.initial_state(self.batch_size), None
        return self

    def feed(self, x: str | ArrayLike) -> Session:
        """Run a text, token ids or vectors through the model and return the session; see `last` for the
        output.

        Text is tokenised piece by piece: with BPE, feed("a b") and feed("a").feed(" b") may give other
        tokens.
        """
        self.run(self._tokenizer().encode(x) if isinstance(x, str) else x)
        return self

    def step(self, x: ArrayLike) -> Array:
        """One step: a token or [I] (batch_size 1), or [B] or [B, I]; returns [O] or [B, O].

        Raises :class:`ShapeError` for a wrong rank, feature count, token or a value that is not finite.
        """
        steps = self._steps if self._state is None else self._stepping()
        if steps is None:
            array, batched = self._check(x, 0)
            out, self._state = self._network.advance(array[None], self._current())
            row = out if self._network.pooled else out[0]
        else:
            entry = steps.row(x) if self.batch_size == 1 else None
            batched = False
            if entry is None:
                array, batched = self._check(x, 0)
                entry = steps.rows(array)
            row = entry
            for stage in steps.stages:
                row = stage(row)
        self._last = row
        return row.copy() if batched else row[0].copy()

    def run(self, x: ArrayLike) -> Array:
        """A chunk: [T] or [T, I] (batch_size 1), or [B, T] or [B, T, I]; returns [T, O] or [B, T, O], pooled
        without T.
        """
        array, batched = self._check(x, 1)
        if array.shape[1] == 0 and self._network.pooled and self._last is not None:
            return self._last.copy() if batched else self._last[0].copy()
        out = self._advance(np.ascontiguousarray(array.swapaxes(0, 1)))
        if self._network.pooled:
            self._last = out
            return out.copy() if batched else out[0].copy()
        if len(out):
            self._last = out[-1].copy()
        return np.ascontiguousarray(out.swapaxes(0, 1)) if batched else out[:, 0]

    def fork(self, seed: int | None = None) -> Session:
        """An independent copy, with a copy of the random generator or, given `seed`, a generator of its
        own.
        """
        state = self._current()
        twin = copy.copy(self)  # nobody writes to the arrays of a state
        twin._state, twin._steps = state, None
        twin._last = None if self._last is None else self._last.copy()  # it may lie in the steps
        twin.rng = copy.deepcopy(self.rng) if seed is None else np.random.Generator(np.random.PCG64(seed))
        return twin

    def generate(
        self,
        n: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
    ) -> Iterator[str]:
        """Draw up to `n` tokens, each fed back, and yield their text in whole characters as it comes.

        Ends before the text `stop` (or the first of several). Needs a fed prompt and a model that scores
        tokens.
        """
        tokenizer = self._tokenizer()
        sampling = Sampling(temperature, top_k, top_p).check()
        stops = [stop] if isinstance(stop, str) else list(stop or [])
        if n < 0:
            raise SettingsError(f"n is {n}, expected the number of tokens, at least 0")
        if not all(stops):
            raise SettingsError("stop holds an empty text, expected at least one character")
        if self.batch_size != 1:
            raise SettingsError(
                f"generate() has batch_size {self.batch_size}, expected 1: fork one session per text"
            )
        if self._network.output_size != self._network.num_tokens:
            raise SettingsError(
                f"generate() needs one output per token, expected {self._network.num_tokens}, but this model"
                f" has {self._network.output_size}: read session.last instead"
            )
        if self._last is None:
            raise SettingsError(
                'generate() has nothing to go on from, expected a prompt: call feed("...") first'
            )
        return self._generate(n, tokenizer, sampling, stops)

    def _generate(self, n: int, tokenizer: Tokenizer, sampling: Sampling, stops: list[str]) -> Iterator[str]:
        decoder, pending = tokenizer.stream(), ""
        for remaining in range(n, -1, -1):
            if remaining:
                assert self._last is not None  # held by generate
                token = sample(self._last[0], sampling, self.rng)
                self.step(token)
                pending += decoder.push(token)
            else:
                pending += decoder.flush()
            found = [pending.index(stop) for stop in stops if stop in pending]
            held = 0 if found or not remaining else _held_back(pending, stops)
            piece = pending[: min(found) if found else len(pending) - held]
            pending = pending[len(piece) :]
            if piece:
                yield piece
            if found:
                return

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write state, last output and random generator to a safetensors file, whole or not at all."""
        tensors = {f"state.{name}": value for name, value in self._current().items()}
        if self._last is not None:
            tensors["last"] = np.ascontiguousarray(self._last)
        metadata = {
            "format": _FORMAT,
            "model": self.model.fingerprint,
            "batch_size": str(self.batch_size),
            "rng": json.dumps(self.rng.bit_generator.state),
        }
        target = Path(path).absolute()
        content = format_tensors({name: np.ascontiguousarray(v) for name, v in tensors.items()}, metadata)
        try:
            write_whole(target, content)
        except OSError as error:
            raise ModelFolderError(
                f"{path} cannot be written ({error.strerror}): check its folder and space"
            ) from None

    def restore(self, path: str | os.PathLike[str]) -> Session:
        """Go on from a file that `save` wrote; refuses one of another model or batch size. Returns the
        session.
        """
        metadata, tensors = _read_session(Path(path))
        if metadata["model"] != self.model.fingerprint:
            raise ModelFolderError(
                f"{path} was saved by another model, expected this one: load the model of the file"
            )
        if metadata["batch_size"] != str(self.batch_size):
            raise ModelFolderError(
                f"{path} has batch_size {metadata['batch_size']}, expected {self.batch_size}:"
                f" call model.session(batch_size={metadata['batch_size']}).restore(...)"
            )
        last = tensors.pop("last", None)
        self.state = {name.removeprefix("state."): value for name, value in tensors.items()}
        self._last = last
        self.rng.bit_generator.state = json.loads(metadata["rng"])
        return self

    def _current(self) -> State:
        """The state as arrays."""
        if self._state is None:
            assert self._steps is not None
            self._state = self._steps.read()
        return self._state

    def _stepping(self) -> Steps | None:
        """The packed network, holding the state; None where steps run on NumPy."""
        if self._state is not None:
            if self._steps is None:
                self._steps = self._network.steps(self.batch_size)
            if self._steps is not None:
                self._steps.write(self._state)
                self._state = None
        return self._steps

    def _advance(self, x: NDArray[Any]) -> Array:
        """The output of x [T, B] or [T, B, I]: short chunks step by step, long ones at once."""
        steps = self._stepping() if 0 < len(x) <= _SHORT else None
        if steps is not None:
            out = steps.run(x)
            return out[-1] if self._network.pooled else out
        out, self._state = self._network.advance(x, self._current())
        return out

    def _tokenizer(self) -> Tokenizer:
        tokenizer = self.model.tokenizer
        if tokenizer is None:
            wanted = (
                "token ids" if self._network.tokens else f"vectors of {self._network.input_size} features"
            )
            raise SettingsError(
                f"this model has no tokenizer, expected {wanted}: feed numbers instead of text"
            )
        return tokenizer

    def _check(self, x: ArrayLike, time_axes: int) -> tuple[NDArray[Any], bool]:
        """x with its batch axis in front, and whether it had one."""
        rank = 1 + time_axes + (not self._network.tokens)
        array = np.asarray(x)
        batched = array.ndim == rank or self.batch_size > 1
        if not batched:
            array = self._network.check_input(array, "[T]" if time_axes else "[]")
            return array[None], False
        array = self._network.check_input(array, "[B, T]" if time_axes else "[B]")
        if array.shape[0] != self.batch_size:
            raise ShapeError(
                f"x has {array.shape[0]} sequences, expected B = {self.batch_size}: set session(batch_size=)"
            )
        return array, True


def _held_back(text: str, stops: list[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop."""
    longest = max((len(stop) for stop in stops), default=1) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0


def _read_session(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise ModelFolderError(
            f"{path} cannot be read ({error.strerror}), expected a saved session"
        ) from None
    except SafetensorError as error:
        raise ModelFolderError(
            f"{path} is truncated or not a saved session ({error}): save it again"
        ) from None
    if metadata.get("format") != _FORMAT or not {"model", "batch_size", "rng"} <= set(metadata):
        raise ModelFolderError(
            f"{path} has the format {metadata.get('format')!r}, expected {_FORMAT!r}: check the path"
        )
    return metadata, tensors
