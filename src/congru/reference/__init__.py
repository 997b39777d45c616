"""The equations, in NumPy float64: one file per cell, one line per formula, backward beside forward.

    y, (h,), gates = congru.reference.gru.forward(x, (h0,), (W, U, b_i, b_h), lengths=lengths)

Everything fast must equal this, in value and in gradient. `sequence` is the loop over time, `stack` layers
and directions, `conventions` the layouts of other libraries.
"""

from congru.reference import conventions, gru, lstm, mingru, rnn, stack

__all__ = ["conventions", "gru", "lstm", "mingru", "rnn", "stack"]
