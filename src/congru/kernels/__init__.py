"""The same equations as `congru.reference`, fast: one module per backend, all with the same three functions.

    supports(call) -> None if it can run this `congru.kernels.call.Call`, else the reason, one clause
    sequence(call) -> (y [B, T, H], state, gates [B, T, G, H] | None), of a `congru.kernels.call.Sequence`
    step(cell, x [B, I], state, weights, *, reset_before) -> state

A backend that computes options names them in `OPTIONS`, see `congru.kernels.options`.

`congru.ops` has checked the arguments and is the only caller. `state` is a tuple (h,) or (h, c) of [B, H], or
None for zeros. A missing bias is None. `h_reset` is a tuple like `state` of [H] vectors, or None for zeros.
`recompute=True` comes only where `supports` had no objection to it.
`lengths` (integers) and `reset` (bool) live on the device of `x`. What each means: `congru.ops.sequence`.
"""
