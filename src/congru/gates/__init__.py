"""See the gates: numbers and pictures from arrays, for any GRU, LSTM, RNN or minGRU that has run.

    trace = congru.inspect(model, x, tokens)      every gate, from the outputs alone
    trace.keep, trace.reset, trace.candidate, trace.state          [L, D, B, T, H]
    trace.timescales(), trace.saturation(), trace.memory(target)   what it remembers, and on what it stands
    congru.gates.report.report(trace, "report.html")               one offline page

`keep` is the share of the old memory that stays; 1 - keep is written. The mathematics is in docs/gates.md.
"""

from congru.gates.recover import Recovered, recover
from congru.gates.sources.stack import Stack
from congru.gates.trace import Trace

__all__ = ["Recovered", "Stack", "Trace", "recover"]
