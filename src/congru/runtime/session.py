"""A session: one model running over a stream, step by step, with a state that can be saved, restored and
forked.

Any cutting of the stream into `step`, `run` and `feed` gives the same outputs, bit for bit, on the native core and on
NumPy; the two differ from one another by rounding. On the native core the weights are packed once for all sessions of a
network, and the state lies in the steppers of its session until somebody asks for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import ModelFolderError, SettingsError, ShapeError, check_shape
from congru.kernels.binding import through_chain
from congru.runtime import session_file
from congru.runtime.cells import Array
from congru.runtime.decoding.draws import Draws
from congru.runtime.decoding.sampling import Sampling, sample
from congru.runtime.decoding.stops import StopText
from congru.runtime.graph import alone
from congru.runtime.network import Network
from congru.runtime.plain_json import parse_json
from congru.runtime.run import Run, State, twin_of
from congru.runtime.session_bytes import Kept, format_session, parse_session
from congru.runtime.steps import Steps
from congru.runtime.tokenizer import Tokenizer

_STRIPS, _UNITS = 16, 1024  # of a state that a notebook shows
_SHORT = 16  # steps up to which a chunk runs step by step, its state staying where it lies


class Session:
    """Runs a network over a stream; made by `Model.session`.

    A session of `batch_size` 1 takes one step as a token or [I] and a chunk as [T] or [T, I], and answers
    without batch axis; with a batch axis in front it answers with one. A network with several inputs takes a
    dictionary of them, one with several outputs answers with a dictionary. `seed` makes `generate` repeatable;
    `constants` are the rows [B, F] and memories [B, S, F] of the network, which hold for the whole stream,
    `lengths` those of the memories. `identity` gives the fingerprint that a saved session carries; `reopen` makes a
    session again of what is pickled: fingerprint, `network_name`, batch size, constants, lengths, bytes.
    """

    def __init__(
        self,
        network: Network,
        *,
        tokenizer: Tokenizer | None = None,
        identity: Callable[[], str] = str,
        reopen: Callable[..., Session] | None = None,
        network_name: str = "",
        seed: int | None = None,
        batch_size: int = 1,
        constants: Mapping[str, ArrayLike] | None = None,
        lengths: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        problem = network.stream_problem()
        if problem:
            raise SettingsError(
                f"session() cannot stream this model, {problem}: call model.run(x) on whole sequences"
            )
        for name, value, least in (("batch_size", batch_size, 1), ("seed", 0 if seed is None else seed, 0)):
            if not isinstance(value, (int, np.integer)) or value < least:
                raise SettingsError(f"{name} is {value!r}, expected a whole number of at least {least}")
        self.network, self.tokenizer, self.batch_size = network, tokenizer, int(batch_size)
        self._draws = Draws(seed)
        self._identity, self._reopen, self._name = identity, reopen, network_name
        self._constants = network.check_constants(constants or {}, lengths or {}, self.batch_size)
        self._steps: Steps | None = None  # made by the first step
        self._state: State | None = network.initial_state(self.batch_size)  # None: in the steps
        self._last: dict[str, Array] | None = None
        self._last_row: int | None = None  # which row of `_last` is its own, where sessions stepped together
        self._chain: Any = None  # that of `_steps`, while state and last output lie in it: then it is a step

    def __repr__(self) -> str:
        many = f"{self.batch_size} sequences" if self.batch_size > 1 else "one sequence"
        sizes = ", ".join(f"{name} {list(value.shape)}" for name, value in self._current().items())
        return f"<Session over {many}: {sizes}>"

    def _repr_html_(self) -> str:
        """The state as it stands, a strip per layer and sequence: what the model remembers now."""
        from congru.report.cell import card
        from congru.report.colors import color, reach_of
        from congru.report.markup import escape
        from congru.report.png import data_uri

        parts = []
        for name, value in self._current().items():
            flat = np.asarray(value, np.float64).reshape(-1, value.shape[-1])[:_STRIPS, :_UNITS]
            where = data_uri(color(flat, True, reach_of(flat)))
            label = escape(
                f"{name}: {' x '.join(map(str, value.shape))} numbers, blue negative, orange positive"
            )
            style = f"width:100%;height:{12 * len(flat)}px;image-rendering:pixelated;display:block"
            parts.append(f'<div>{label}</div><img alt="{label}" style="{style}" src="{where}">')
        return card(repr(self)[1:-1], [], "".join(parts))

    @property
    def constants(self) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.int64]]]:
        """The rows and memories that hold for the whole stream, and the memories' lengths."""
        return self._constants

    @property
    def rng(self) -> np.random.Generator:
        """The random generator that `generate` draws from."""
        return self._draws.hand_out()

    @property
    def last(self) -> Any:
        """The output of the last step, [O] or [B, O] where batch_size > 1; None before the first step."""
        last = self._own_last()
        return None if last is None else self._answer(last, self.batch_size > 1)

    @property
    def state(self) -> State:
        """A copy of the state: "<node>.h" (and "<node>.c") -> [L*D, B, H]. Assign one to go on from there."""
        return {name: value.copy() for name, value in self._current().items()}

    @state.setter
    def state(self, state: Mapping[str, ArrayLike]) -> None:
        checked = self.network.check_state(state, self.batch_size)
        self._state, self._chain = {name: value.copy() for name, value in checked.items()}, None

    def reset(self) -> Session:
        """Go back to the initial state; the random generator goes on. Returns the session."""
        self._state, self._chain = self.network.initial_state(self.batch_size), None
        self._last, self._last_row = None, None
        return self

    def feed(self, x: str | ArrayLike | Mapping[str, ArrayLike]) -> Session:
        """Run a text, token ids or vectors through the model and return the session; see `last` for the
        output.

        Text is tokenised piece by piece: with BPE, feed("a b") and feed("a").feed(" b") may give other
        tokens.
        """
        self.run(self._text_tokenizer().encode(x) if isinstance(x, str) else x)
        return self

    @through_chain("_chain")
    def step(self, x: Any) -> Any:
        """One step: a token or [I] (batch_size 1), or [B] or [B, I]; returns [O] or [B, O].

        Raises :class:`ShapeError` for a wrong rank, feature count, token or a value that is not finite.
        """
        steps = self._steps if self._state is None else self._stepping()
        assert steps is not None  # the state lies in them
        if steps.chain is not None:
            answer = steps.chain(x)
            if answer is not None:
                self._last, self._last_row, self._chain = steps.last, None, steps.chain
                return answer
        stages, self._chain = steps.stages, None
        if stages is None:
            inputs, batched = self._check(x, 0)
            self._last, self._last_row = steps.step(inputs), None
            return self._answer(self._last, batched)
        row = steps.row(x) if self.batch_size == 1 else None
        batched = False
        if row is None:
            (array,), batched = self._check(x, 0)
            row = steps.rows(array)
        for stage in stages:
            row = stage(row)
        self._last, self._last_row = {steps.output: row}, None
        return row.copy() if batched else row[0].copy()

    def run(self, x: Any) -> Any:
        """A chunk: [T] or [T, I] (batch_size 1), or [B, T] or [B, T, I]; returns [T, O] or [B, T, O], pooled
        without T.
        """
        inputs, batched = self._check(x, 1)
        xs = [np.ascontiguousarray(array.swapaxes(0, 1)) for array in inputs]
        last = self._own_last()
        if len(xs[0]) == 0 and last is not None and all(self._is_row(name) for name in last):
            return self._answer(last, batched)
        outputs = self._advance(xs)
        if len(xs[0]) or all(self._is_row(name) for name in outputs):
            self._last_row, self._last = (
                None,
                {name: out if self._is_row(name) else out[-1].copy() for name, out in outputs.items()},
            )
        whole = {name: out if self._is_row(name) else out.swapaxes(0, 1) for name, out in outputs.items()}
        return self._answer(whole, batched)

    def fork(self, seed: int | None = None) -> Session:
        """An independent copy, with a copy of the random generator or, given `seed`, a generator of its
        own.
        """
        twin = twin_of(self)  # nobody writes to the arrays of a state
        twin._steps, twin._chain = None if self._steps is None else self._steps.copy(), None
        if self._last is not None and self._steps is not None and (self._steps.lends or self._steps.chain):
            twin._last = {name: row.copy() for name, row in self._last.items()}
        twin._draws = self._draws.fork() if seed is None else Draws(seed)
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
        tokenizer = self._text_tokenizer()
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
        if self.network.output_size != self.network.num_tokens:
            raise SettingsError(
                f"generate() needs one output per token, expected {self.network.num_tokens}, but this model"
                f" has {self.network.output_size}: read session.last instead"
            )
        if self._last is None:
            raise SettingsError(
                'generate() has nothing to go on from, expected a prompt: call feed("...") first'
            )
        return self._generate(n, tokenizer, sampling, stops)

    def _generate(self, n: int, tokenizer: Tokenizer, sampling: Sampling, stops: list[str]) -> Iterator[str]:
        text = StopText(tokenizer, stops)
        for _ in range(n):
            last = self._own_last()
            assert last is not None  # held by generate
            token = sample(next(iter(last.values()))[0], sampling, self._draws.generator())
            self.step(token)
            piece = text.push(token)
            if piece:
                yield piece
            if text.stopped:
                return
        piece = text.flush()
        if piece:
            yield piece

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write state, last output and random generator to a safetensors file, whole or not at all."""
        tensors = {f"state.{name}": value for name, value in self._current().items()}
        last = self._own_last()
        if last is not None:
            tensors.update({f"last.{name}": value for name, value in last.items()})
        metadata = {
            "model": self._identity(),
            "batch_size": str(self.batch_size),
            "rng": json.dumps(self._draws.generator().bit_generator.state),
        }
        session_file.write(Path(path), tensors, metadata)

    def to_bytes(self) -> bytes:
        """State, last output and random generator in a few bytes more than their numbers take; `restore` reads them.

        See :mod:`congru.runtime.session_bytes`. Constants are not in them.
        """
        state = self._state
        if state is None:
            assert self._steps is not None
            state = self._steps.read()
        kept = Kept(self._identity(), self.batch_size, state, self._own_last(), self._draws.words())
        return format_session(kept)

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[Any, ...]]:
        """Pickled by its bytes and the fingerprint of its model, which must be loaded where it is unpickled."""
        if self._reopen is None:
            raise SettingsError(
                "the session has no model to find it by, expected one of model.session(): pickle its to_bytes()"
            )
        return self._reopen, (
            self._identity(),
            self._name,
            self.batch_size,
            *self._constants,
            self.to_bytes(),
        )

    def restore(self, source: str | os.PathLike[str] | bytes) -> Session:
        """Go on from a file that `save` wrote, or from what `to_bytes` gave; refuses those of another model or batch size,
        or that were changed, and the session is then as before. Returns the session.
        """
        return self._restore_bytes(source) if isinstance(source, bytes) else self._restore_file(Path(source))

    def _restore_file(self, path: Path) -> Session:
        metadata, tensors = session_file.read(path)
        if metadata["model"] != self._identity():
            raise ModelFolderError(
                f"{path} was saved by another model, expected this one: load the model of the file"
            )
        if metadata["batch_size"] != str(self.batch_size):
            raise ModelFolderError(
                f"{path} has batch_size {metadata['batch_size']}, expected {self.batch_size}:"
                f" call model.session(batch_size={metadata['batch_size']}).restore(...)"
            )
        outputs = list(self.network.graph.outputs)
        last = {name: tensors.pop(f"last.{name}") for name in outputs if f"last.{name}" in tensors}
        if "last" in tensors:  # as written before networks had several outputs
            last = {outputs[0]: tensors.pop("last")}
        generator = np.random.Generator(np.random.PCG64(0))
        try:
            generator.bit_generator.state = parse_json(metadata["rng"])
        except (ValueError, TypeError, KeyError, OverflowError):
            raise ModelFolderError(
                f"{path} holds no state of a random generator, expected that of PCG64: save it again"
            ) from None
        for name, value in last.items():
            shape = (self.batch_size, *self.network.graph.outputs[name].size)
            check_shape(f"{path}: last.{name}", value, "[B, O]", shape, "save the session again")
        self.state = {name.removeprefix("state."): value for name, value in tensors.items()}
        self._last, self._last_row = last or None, None
        self._draws.generator().bit_generator.state = generator.bit_generator.state
        return self

    def _restore_bytes(self, content: bytes) -> Session:
        kept = parse_session(content, self.network.graph)
        if kept.fingerprint != self._identity():
            raise ModelFolderError(
                "the session's bytes are of another model, expected this one: load the model they were made with"
            )
        if kept.batch_size != self.batch_size:
            raise ModelFolderError(
                f"the session's bytes have batch_size {kept.batch_size}, expected {self.batch_size}:"
                f" call model.session(batch_size={kept.batch_size}).restore(...)"
            )
        self.state = kept.state
        self._last, self._last_row = kept.last, None
        self._draws.go_on_from(kept.generator)
        return self

    def _current(self) -> State:
        """The state as arrays."""
        if self._state is None:
            assert self._steps is not None
            self._state, self._chain = self._steps.read(), None
        return self._state

    def _own_last(self) -> dict[str, Array] | None:
        """The outputs [B, O] of the last step by name; None before the first."""
        row = self._last_row
        if row is not None and self._last is not None:
            self._last = {name: out[row : row + 1] for name, out in self._last.items()}
            self._last_row = None
        return self._last

    def _stepping(self) -> Steps:
        """The network step by step, holding the state."""
        self._chain = None
        if self._steps is None:
            self._steps = self.network.steps(self.batch_size, *self._constants)
        if self._state is not None:
            self._steps.write(self._state)
            self._state = None
        return self._steps

    def _advance(self, xs: list[NDArray[Any]]) -> dict[str, Array]:
        """The outputs by name, time-major: short chunks step by step, long ones at once."""
        if 0 < len(xs[0]) <= _SHORT:
            outputs = self._stepping().run(xs)
            return {name: out[-1] if self._is_row(name) else out for name, out in outputs.items()}
        constants, lengths = self._constants
        run = Run(self._current(), None, lengths)
        outputs = self.network.advance({**dict(zip(self.network.graph.step_inputs, xs)), **constants}, run)
        self._state = run.after
        return outputs

    def _is_row(self, output: str) -> bool:
        return self.network.graph.outputs[output].axes == "row"

    def _answer(self, outputs: dict[str, Array], batched: bool) -> Any:
        """Copies of the outputs, without batch axis unless `batched`, the array alone where there is one."""
        return alone({name: (out if batched else out[0]).copy() for name, out in outputs.items()})

    def _text_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            wanted = "token ids" if self.network.tokens else f"vectors of {self.network.input_size} features"
            raise SettingsError(
                f"this model has no tokenizer, expected {wanted}: feed numbers instead of text"
            )
        return self.tokenizer

    def _check(self, x: Any, time_axes: int) -> tuple[list[NDArray[Any]], bool]:
        """The inputs with their batch axis in front, and whether they had one."""
        network = self.network
        names = network.graph.step_inputs
        arrays, batched = [], self.batch_size > 1
        for name, value in network.graph.named_inputs(x, names).items():
            spec, array = network.graph.inputs[name], np.asarray(value)
            batched = batched or array.ndim == 1 + time_axes + len(spec.size)
            if not batched:
                arrays.append(network.check_value(name, array, "[T]" if time_axes else "[]")[None])
                continue
            array = network.check_value(name, array, "[B, T]" if time_axes else "[B]")
            if array.shape[0] != self.batch_size:
                raise ShapeError(
                    f"x has {array.shape[0]} sequences, expected B = {self.batch_size}: set session(batch_size=)"
                )
            arrays.append(array)
        if time_axes and len({array.shape[1] for array in arrays}) > 1:
            counts = ", ".join(f"{array.shape[1]} of {name!r}" for name, array in zip(names, arrays))
            raise ShapeError(f"x has steps {counts}, expected equal numbers: pass as many of each")
        return arrays, batched
