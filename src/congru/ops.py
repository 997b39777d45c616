"""The one dispatcher: it picks the backend that runs a call, and can say which one and why.

`native`, the C core, runs what it can on the CPU. Other NumPy arrays run on `reference` (float64 inside), other torch
tensors on `bptt` (the GRU in training with bfloat16 products), on `aten` (PyTorch's own fused kernels: CUDA) or
on `composite` (torch operations; any device, dtype and number of derivatives), and on `triton` (CUDA) where it is asked
for. A backend asked for by name runs or raises `BackendError`; only "auto" chooses. Measurements behind the order:
results/cell_speed.json and results/few_steps.json.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from types import ModuleType
from typing import Any

import numpy as np

from congru.errors import BackendError
from congru.kernels import heads
from congru.kernels.call import Call, Sequence, as_tuple, make_call
from congru.kernels.cells import Array, State, Weights, is_tensor
from congru.kernels.describe import describe, describe_step
from congru.kernels.options import NO_OPTIONS, options_of
from congru.kernels.rounding import rounded

# In the order in which "auto" tries them.
_ORDER = {"numpy": ("native", "reference"), "torch": ("native", "bptt", "aten", "triton", "composite")}
_ABOUT = {
    "native": "the compiled CPU core",
    "reference": "the NumPy float64 equations",
    "bptt": "hand-written back-propagation through time",
    "aten": "PyTorch's fused kernels",
    "triton": "Triton kernels for CUDA",
    "composite": "torch operations, any device and dtype",
}
_MAY_DECLINE = ("native", "bptt", "triton")  # "auto" asks these whether another should run the call
_loaded: dict[str, ModuleType | None] = {}


def sequence(
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    *,
    lengths: Array | None = None,
    reset: Array | None = None,
    h_reset: Array | State | None = None,
    reverse: bool = False,
    reset_before: bool = False,
    layer_norm: bool | str = False,
    num_heads: int = 1,
    zoneout: Array | State | None = None,
    recurrent_mask: Array | None = None,
    weight_dtype: str | None = None,
    return_gates: bool = False,
    recompute: bool = False,
    backend: str = "auto",
) -> tuple[Array, State, Array | None]:
    """Run one layer in one direction over x [B, T, I].

    Returns y [B, T, H], the final state, and the gates [B, T, G, H] (None unless `return_gates`).

    - `cell`: "gru", "lstm", "rnn", "rnn_relu" or "mingru".
    - `state`: (h,), for lstm (h, c), each [B, H]; None = zeros.
    - `weights`: (W [G*H, I], U [G*H, H], b_i, b_h), for mingru (W [2H, I], b_i); a bias may be None.
    - `lengths` [B], integers 0..T: later steps are padding. y and gates are 0 there, the state stays.
    - `reset` [B, T], bool: a new sequence begins at t, so the state that enters step t is `h_reset` ([H]; for
      lstm also a pair; what is not given is zeros). In reverse it is the state handed from t to t-1.
    - `reverse`: from the last valid step to the first; y stays in input order.
    - `reset_before`: the gru's other form, n = tanh(W_n x + b_in + U_n (r * h) + b_hn).
    - `recompute`: keep at most the states for the backward and compute the gates again there: less memory, more time.
    - `layer_norm`: True (gru and lstm: the weights end with g_i, g_h, for lstm g_c and b_c too) or "dreamer" (gru: g_i).
    - `num_heads`: the recurrent weights are block-diagonal, U is [G*H, H/num_heads].
    - `zoneout` [B, T, H], for lstm a pair: the share of the old state that is kept whatever the gates say.
    - `recurrent_mask` [B, H]: U sees recurrent_mask * h, at every step.
    - `weight_dtype`: "bfloat16" computes with W and U rounded to it, all else as before, without gradients: the core
      reads half the bytes of weights in every step.

    The four before are defined in `congru.reference.option_equations`.

    Results are of the dtype of the weights, under torch's autocast too.

    Raises `CongruError` for a wrong argument and `BackendError` if `backend` cannot run the call.

    >>> import numpy as np
    >>> weights = np.ones((6, 3)), np.ones((6, 2)), None, None
    >>> y, (h,), gates = sequence("gru", np.ones((1, 4, 3)), None, weights, return_gates=True)
    >>> y.shape, h.shape, gates.shape
    ((1, 4, 2), (1, 2), (1, 4, 3, 2))
    """
    call = make_call(
        cell,
        x,
        state,
        weights,
        lengths=lengths,
        reset=reset,
        h_reset=h_reset,
        reverse=reverse,
        reset_before=reset_before,
        return_gates=return_gates,
        recompute=recompute,
        layer_norm=layer_norm,
        num_heads=num_heads,
        zoneout=zoneout,
        recurrent_mask=recurrent_mask,
        weight_dtype=weight_dtype,
    )
    kind = describe(call)
    name, _ = _choose(kind, backend)
    results = _run(
        _kernel(name), call if call.recompute is kind.recompute else call._replace(recompute=False)
    )
    return results if kind.library == "numpy" else _as_weights(results, weights)


def directions(
    cell: str, calls: list[dict[str, Any]], *, backend: str = "auto"
) -> list[tuple[Array, State, Array | None]]:
    """Run one layer in each of its directions: `calls` are the other arguments of `sequence`, alike but for x and weights.

    "triton" runs them in one launch; the other backends run one after the other.

    >>> import numpy as np
    >>> call = {"x": np.ones((1, 4, 3)), "state": None, "weights": (np.ones((4, 3)), None)}
    >>> len(directions("mingru", [call, {**call, "reverse": True}]))
    2
    """
    if backend != "triton" or len(calls) == 1:
        return [sequence(cell, backend=backend, **call) for call in calls]
    made = [make_call(cell, **call) for call in calls]
    kinds = [describe(call) for call in made]
    for kind in kinds:
        _choose(kind, backend)
    joint = tuple(call._replace(recompute=kind.recompute) for call, kind in zip(made, kinds))
    if joint[0].options.weight_dtype:
        return [sequence(cell, backend=backend, **call) for call in calls]
    results: list[tuple[Array, State, Array | None]] = _kernel(backend).sequences(joint)
    return [_as_weights(own, call.weights) for own, call in zip(results, joint)]


def step(
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    *,
    reset_before: bool = False,
    layer_norm: bool | str = False,
    num_heads: int = 1,
    zoneout: Array | State | None = None,
    recurrent_mask: Array | None = None,
    weight_dtype: str | None = None,
    backend: str = "auto",
) -> State:
    """Return the new state after one step on x [B, I]; arguments and errors are those of `sequence`.

    `zoneout` is [B, H] here.

    >>> import numpy as np
    >>> weights = np.ones((2, 3)), np.eye(2), None, None
    >>> (h,) = step("rnn", np.zeros((1, 3)), (np.ones((1, 2)),), weights)
    >>> h.round(3).tolist()
    [[0.762, 0.762]]
    """
    options = options_of(layer_norm, num_heads, as_tuple(zoneout), recurrent_mask, weight_dtype)
    call = Sequence(cell, x, state, weights, reset_before=reset_before, options=options)
    if options is not NO_OPTIONS:
        name, _ = _choose(describe(call, one_step=True), backend)
        if options.zoneout is not None:
            options = options._replace(zoneout=tuple(part[:, None] for part in options.zoneout))
        results = _run(_kernel(name), call._replace(x=x[:, None], options=options))
        return (_as_weights(results, weights) if is_tensor(x) else results)[1]
    new: State | None = None
    plain_calls = None if reset_before or type(x) is np.ndarray else _plain_calls(backend)
    if plain_calls is not None:
        new = plain_calls.step(cell, x, state, weights)
    if new is None:
        kind = describe(call, one_step=True) if reset_before else describe_step(cell, x, state, weights)
        name, _ = _choose(kind, backend)
        new = _kernel(name).step(cell, x, state, weights, reset_before=reset_before)
        if kind.library == "torch":
            new = tuple(_in_dtype(part, weights[0]) for part in new)
    return new


def plain(
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    *,
    reset_before: bool = False,
    reverse: bool = False,
    batch_first: bool = False,
    backend: str = "auto",
) -> tuple[Array, State] | None:
    """A sequence without options and gradients on torch tensors, in torch.nn's layout; None where `sequence` must run it.

    What `sequence` would do there takes longer than one step of the core: here x is [T, B, I], or [B, T, I] if `batch_first`,
    y likewise, and parts of the state are [1, B, H]. The same bits as `sequence`, which also has the errors.

    >>> import torch
    >>> weights = torch.ones(6, 3), torch.ones(6, 2), None, None
    >>> plain("mingru", torch.ones(1, 4, 3), None, weights) is None
    True
    """
    plain_calls = _plain_calls(backend)
    results: tuple[Array, State] | None = None
    if plain_calls is not None:
        results = plain_calls.sequence(cell, x, state, weights, reset_before, reverse, batch_first)
    return results


def explain(
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    *,
    lengths: Array | None = None,
    reset: Array | None = None,
    h_reset: Array | State | None = None,
    reverse: bool = False,
    reset_before: bool = False,
    layer_norm: bool | str = False,
    num_heads: int = 1,
    zoneout: Array | State | None = None,
    recurrent_mask: Array | None = None,
    weight_dtype: str | None = None,
    return_gates: bool = False,
    recompute: bool = False,
    backend: str = "auto",
) -> str:
    """Say in one sentence which backend `sequence` uses for these arguments, and why; errors as `sequence`.

    >>> import numpy as np
    >>> explain("mingru", np.ones((1, 4, 3)), None, (np.ones((4, 3)), None), backend="reference")
    "mingru, numpy float64 on cpu, runs on 'reference' (the NumPy float64 equations), as asked."
    """
    call = make_call(
        cell,
        x,
        state,
        weights,
        lengths=lengths,
        reset=reset,
        h_reset=h_reset,
        reverse=reverse,
        reset_before=reset_before,
        return_gates=return_gates,
        recompute=recompute,
        layer_norm=layer_norm,
        num_heads=num_heads,
        zoneout=zoneout,
        recurrent_mask=recurrent_mask,
        weight_dtype=weight_dtype,
    )
    kind = describe(call)
    name, passed_over = _choose(kind, backend)
    why = "as asked" if backend != "auto" else "the first that can"
    for other, reason in passed_over:
        why += f"; not {other!r}: {reason}"
    what = f"{cell}, {kind.library} {kind.dtype} on {kind.device}"
    return f"{what}, runs on {name!r} ({_ABOUT[name]}), {why}."


def check_backend(name: str) -> None:
    """Raise `BackendError` unless this is "auto" or the name of a backend.

    >>> check_backend("natvie")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    congru.errors.BackendError: backend is 'natvie', expected auto, native, ...: did you mean 'native'?
    """
    if name == "auto" or (isinstance(name, str) and name in _ABOUT):
        return
    close = difflib.get_close_matches(str(name).lower(), ("auto", *_ABOUT), n=1)
    fix = f"did you mean {close[0]!r}?" if close else "pass one of these"
    raise BackendError(f"backend is {name!r}, expected auto, {', '.join(_ABOUT)}: {fix}")


def preload(library: str) -> None:
    """Load the backends for "numpy" or "torch" now: torch.compile cannot follow an import on first use."""
    for name in (*_ORDER[library], *(("native_plain",) if library == "torch" else ())):
        _load(name)


def _choose(call: Call, backend: str) -> tuple[str, list[tuple[str, str]]]:
    """The backend that runs this call, and those that "auto" passed over, with their reasons."""
    auto = backend == "auto"
    if not auto and backend not in _ABOUT:
        check_backend(backend)
    passed_over: list[tuple[str, str]] = []
    for name in _ORDER[call.library] if auto else (backend,):
        reason = _objection(name, call)
        if reason is None and auto and name in _MAY_DECLINE:
            reason = _declined(name, call)
        if reason is None:
            return name, passed_over
        passed_over.append((name, reason))
    name, reason = passed_over[-1]
    fix = "use backend='auto'" if backend != "auto" else "pass torch tensors"
    raise BackendError(f"backend is {backend!r}, expected one that runs this {call.cell}: {reason}; {fix}")


def _objection(name: str, call: Call) -> str | None:
    """Why a backend cannot run this call, or None."""
    if call.library == "numpy" and name not in _ORDER["numpy"]:  # before it would import torch
        return "it computes with torch tensors only"
    kernel = _loaded.get(name) or _load(name)
    if kernel is None:
        return "it is not part of this installation"
    if call.options:
        unknown = [option for option in call.options if option not in getattr(kernel, "OPTIONS", ())]
        if unknown:
            return f"it has no {unknown[0]}"
    reason: str | None = kernel.supports(call)
    return reason


def _declined(name: str, call: Call) -> str | None:
    """Why "auto" passes over a backend that can run this call, or None; a faster one must be able to run it."""
    kernel = _kernel(name)
    reason: str | None = kernel.declines(call)
    if (
        reason is not None
        and hasattr(kernel, "FASTER")
        and _objection(kernel.FASTER[call.cell], call) is not None
    ):
        reason = None
    return reason


def _load(name: str) -> ModuleType | None:
    """The module of a backend, loaded on first use; None where this installation has none."""
    if name not in _loaded:
        module = f"congru.kernels.{name}"
        _loaded[name] = importlib.import_module(module) if importlib.util.find_spec(module) else None
    return _loaded[name]


def _kernel(name: str) -> ModuleType:
    module = _loaded.get(name) or _load(name)
    assert module is not None  # _choose has asked it
    return module


def _plain_calls(backend: str) -> ModuleType | None:
    """Where the core runs calls of tensors without options and gradients; None where another backend is asked for."""
    core = backend in ("auto", "native") and (_loaded.get("native") or _load("native"))
    return _kernel("native_plain") if core else None


def _run(kernel: ModuleType, call: Sequence) -> tuple[Array, State, Array | None]:
    """Run a checked call on a backend, head by head."""
    if call.options.weight_dtype and kernel is not _loaded.get("native"):
        weights = rounded(call.cell, call.weights)
        call = call._replace(weights=weights, options=call.options._replace(weight_dtype=None))
    results: tuple[Array, State, Array | None]
    if call.options.num_heads == 1 or getattr(kernel, "RUNS_HEADS", False):
        results = kernel.sequence(call)
    else:
        results = heads.sequence(kernel.sequence, call)
    return results


def _as_weights(
    results: tuple[Array, State, Array | None], weights: Weights
) -> tuple[Array, State, Array | None]:
    """The results in the dtype of the weights: autocast changes how products are computed, never the dtype of results."""
    (y, final, gates), W = results, weights[0]
    dtype = W.dtype  # type: ignore[union-attr]
    if y.dtype is dtype and final[-1].dtype is dtype and (gates is None or gates.dtype is dtype):
        return results
    y, *parts = (_in_dtype(part, W) for part in (y, *final))
    return y, tuple(parts), None if gates is None else _in_dtype(gates, W)


def _in_dtype(part: Array, W: Array) -> Array:
    return part if part.dtype is W.dtype else part.to(W.dtype)
