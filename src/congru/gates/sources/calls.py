"""Calls of a recurrent torch layer or cell, as arrays, and the calls of a loop joined along time.

A decoder calls its cell once a step. Where each call begins with the state that the call before returned, bit for bit,
the calls are one run over a longer sequence:

    x = [x_1, x_2, ...]    y = [y_1, y_2, ...]    state = the state of the first call

Where they do not connect, each unbroken part is a run of its own, and the reason is kept as one line.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from congru.errors import require
from congru.gates.layer import Layer
from congru.gates.sources.stack import trace_stack
from congru.gates.sources.torch_layers import is_cell, is_packed, stack_of, to_numpy


class Call(NamedTuple):
    """x [B, T, I] and y [B, T, D*H]; `state` and `final` hold one array [L*D, B, H] per part, state None = the layer's own
    start; lengths [B] and reset [B, T] where the call had them; `precision` is the dtype it returned.
    """

    name: str
    module: Any
    x: Any
    y: Any
    state: tuple[Any, ...] | None
    final: tuple[Any, ...]
    lengths: Any = None
    reset: Any = None
    precision: str = ""

    def trace(self) -> tuple[tuple[Layer, ...], ...]:
        """Its layers [L][D] with their gates."""
        return trace_stack(
            stack_of(self.module, self.name),
            self.x,
            state=self.state,
            y=self.y,
            lengths=self.lengths,
            reset=self.reset,
            precision=self.precision,
        )


class Joined(NamedTuple):
    """Runs by name, each one call over the whole of its time; how many calls each joins; and for a layer whose calls are
    several runs, under its name and under theirs, the line that says why.
    """

    runs: dict[str, Call]
    num_calls: dict[str, int]
    breaks: dict[str, str]


def read_call(
    name: str, module: Any, x: Any, hx: Any, output: Any, *, lengths: Any = None, reset: Any = None
) -> Call:
    """The call module(x, hx) -> output as arrays of its own: a model may write into its tensors afterwards."""
    state = None if hx is None else tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
    if is_cell(module):
        new = tuple(output) if isinstance(output, (tuple, list)) else (output,)
        if x.dim() == 1:  # one row: [I] and [H]
            x, new = x[None], tuple(part[None] for part in new)
            state = None if state is None else tuple(part[None] for part in state)
        state = None if state is None else tuple(part[None] for part in state)
        x, y, final = x[:, None], new[0][:, None], tuple(part[None] for part in new)
    else:
        y, last = output[0], output[1]
        final = tuple(last) if isinstance(last, (tuple, list)) else (last,)
        if is_packed(x):
            pad = require("torch.nn.utils.rnn", "train").pad_packed_sequence
            (x, lengths), (y, _) = pad(x, batch_first=True), pad(y, batch_first=True)
        elif x.dim() == 2:
            x, y = x[None], y[None]
            final = tuple(part[:, None] for part in final)
            if state is not None:
                state = tuple(part[:, None] if part.dim() == 2 else part for part in state)
            reset = None if reset is None else to_numpy(reset).reshape(1, -1)
            lengths = None if lengths is None else to_numpy(lengths).reshape(1)
        elif not module.batch_first:
            x, y = x.transpose(0, 1), y.transpose(0, 1)
    return Call(
        name,
        module,
        _copy(x),
        _copy(y),
        None if state is None else tuple(map(_copy, state)),
        tuple(map(_copy, final)),
        None if lengths is None else _copy(lengths),
        None if reset is None else _copy(reset),
        str(y.dtype).removeprefix("torch."),
    )


def _copy(tensor: Any) -> Any:
    return np.array(to_numpy(tensor))


def join_calls(calls: list[Call]) -> Joined:
    """Join the calls of each layer, in the order in which the layers were first called."""
    joined = Joined({}, {}, {})
    for name in dict.fromkeys(call.name for call in calls):
        own = [call for call in calls if call.name == name]
        runs: list[list[int]] = []
        reason = ""
        for k, call in enumerate(own):
            break_here = _why_not(own[k - 1], call, k) if k else ""
            if k == 0 or break_here:
                runs.append([])
                reason = reason or (f"call {k + 1} {break_here}" if k else "")
            runs[-1].append(k)
        names = [name] if len(runs) == 1 else [_run_name(name, run) for run in runs]
        for run_name, run in zip(names, runs):
            joined.runs[run_name] = _concatenated(run_name, [own[k] for k in run])
            joined.num_calls[run_name] = len(run)
        if len(runs) > 1:
            line = (
                f"{name} runs {len(own)} times in one pass of the model and {reason}, expected the state that the call "
                f"before it returned, unchanged: pass layer={names[-1]!r} for one unbroken run ({len(runs)} in all)"
            )
            joined.breaks.update(dict.fromkeys([name, *names], line))
    return joined


def _run_name(name: str, run: list[int]) -> str:
    if len(run) == 1:
        return f"{name} call {run[0] + 1}"
    return f"{name} calls {run[0] + 1} to {run[-1] + 1}"


def _why_not(before: Call, call: Call, k: int) -> str:
    """Why call number k (from 0) does not go on where the one before ended; "" where it does."""
    if getattr(call.module, "bidirectional", False):
        return "reads its part in both directions, so its backward half can't go on"
    if before.lengths is not None or call.lengths is not None:
        return "or the one before it has padding (lengths or a PackedSequence)"
    if call.state is None:
        return "begins from a new start (hx=None)"
    if call.state[0].shape != before.final[0].shape:
        return f"has {call.state[0].shape[1]} rows after {before.final[0].shape[1]}"
    differs = np.any([~_same_rows(a, b) for a, b in zip(call.state, before.final)], axis=0)
    rows = np.flatnonzero(differs)
    if len(rows) == 0:
        return ""
    if all(_has_row(before.final[0], call.state[0][:, row]) for row in rows):
        return f"begins with the rows of call {k} in another order, as a beam search does"
    return f"begins from another state than call {k} returned ({len(rows)} of {len(differs)} rows differ)"


def _same_rows(a: Any, b: Any) -> Any:
    """Which rows of two states [L*D, B, H] are the same bit for bit, [B]."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return same.all(axis=(0, 2))


def _has_row(state: Any, row: Any) -> bool:
    """Whether a state [L*D, B, H] holds that row [L*D, H]."""
    return bool((state == row[:, None]).all(axis=(0, 2)).any())


def _concatenated(name: str, calls: list[Call]) -> Call:
    if len(calls) == 1:
        return calls[0]._replace(name=name)
    reset = None
    if any(call.reset is not None for call in calls):
        reset = np.concatenate(
            [np.zeros(call.x.shape[:2], np.bool_) if call.reset is None else call.reset for call in calls],
            axis=1,
        )
    return calls[0]._replace(
        name=name,
        x=np.concatenate([call.x for call in calls], axis=1),
        y=np.concatenate([call.y for call in calls], axis=1),
        final=calls[-1].final,
        reset=reset,
    )


def is_continued(run: Call, other: Call) -> bool:
    """Whether `other` begins with the state that `run` ended in, as a decoder begins with its encoder's."""
    if other.state is None or other.state[0].shape != run.final[0].shape:
        return False
    return all(bool(_same_rows(a, b).all()) for a, b in zip(other.state, run.final))
