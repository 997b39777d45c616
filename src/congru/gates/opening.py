"""The first sentences of the report, made from the numbers, for a reader who knows no term of the field yet."""

from __future__ import annotations

import numpy as np

from congru.gates.flow import Flow
from congru.gates.form import TITLES
from congru.gates.memory import Memory
from congru.gates.reading import Choice, Reading
from congru.gates.record import Record
from congru.gates.timescales import Timescales
from congru.gates.weights import Array
from congru.report.steps import printable

_FEW = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)


def opening(
    record: Record,
    reading: Reading,
    scales: Timescales | None,
    choice: Choice | None,
    memory: Memory | None,
    flow: Flow,
    whole: bool = True,
) -> list[str]:
    """How long it remembers, on what the prediction stands, and how far to believe that: three sentences.

    scales and memory are None where the cell keeps nothing by a gate, choice where the outputs have no meaning known here;
    not `whole`: what the memory explains is not an output of the model but the memory itself.
    """
    return [
        _how_long(record, reading, scales),
        _on_what(record, reading, choice, memory, flow, whole),
        _how_sure(record, reading, memory),
    ]


def _how_long(record: Record, reading: Reading, scales: Timescales | None) -> str:
    size = record.top.hidden_size
    if scales is None:
        return (
            f"All {size} units of this {TITLES[record.cell]} are written anew at every {reading.step}: nothing is kept by a gate,"
            " and whatever lasts has been computed again each time."
        )
    half = float(np.median(scales.half_life))
    text = f"Half of the {size} units have lost half of what they held after {_span(reading, half)}"
    if not np.isfinite(half):
        text = f"Half of the {size} units lose nothing of what they hold"
    slow = float(np.quantile(scales.half_life, 0.9))
    if np.isfinite(slow) and np.isfinite(half):
        text += f", the slowest tenth only after {_span(reading, slow, short=True)} or more"
    if np.isfinite(scales.data) and scales.data >= 1:
        text += f"; the data itself stays alike for about {_span(reading, scales.data)}"
    return text + "."


def _on_what(
    record: Record, reading: Reading, choice: Choice | None, memory: Memory | None, flow: Flow, whole: bool
) -> str:
    what = reading.predicts
    if choice is not None:
        what += f", {printable_name(choice.name)} at {choice.value},"
    if choice is not None and choice.shares is not None and not reading.adds_up:
        return f"{what} {without_words(reading, choice.shares)}."
    if choice is not None and choice.shares is None and memory is not None:
        sizes = np.abs(memory.contributions[: memory.at + 1])
        if sizes.sum() and not whole:
            return f"{what} is made from the memory, and that stands {_where(record, reading, sizes)}."
        if sizes.sum() and memory.target != choice.name:
            other = f"“{printable_name(memory.target)}” at “{reading.tokens[memory.at]}”"
            return f"{what} is made from all states; one of them, {other}, stands {_where(record, reading, sizes)}."
    shares = choice.shares if choice is not None and choice.shares is not None else None
    if shares is None and memory is not None:
        shares = memory.contributions[: memory.at + 1]
    if shares is None or not np.abs(shares).sum():
        reached = flow.half_lag()
        lasts = reading.count(reached) if reached < len(flow.gradient) else f"all {reading.count(reached)}"
        return f"{what} feels what was read at half strength over {lasts}; a {TITLES[record.cell]} has no exact shares."
    return f"{what} stands {_where(record, reading, np.abs(shares))}."


def without_words(reading: Reading, bits: Array, most: int = 3) -> str:
    """Without which steps a prediction would lose how many bits, the most first; see `congru.gates.deletion`.

    >>> without_words(Reading(None, ("(start)", "a", "dog"), step="word"), np.array([-0.1, 0.25, 1.5]))
    'would lose 1.50 bits without what “dog” wrote into the state, 0.25 without “a” (exact parts, whose bits do not add up)'
    """
    order = [k for k in np.argsort(-bits, kind="stable")[:most].tolist() if bits[k] >= 0.005]
    if not order:
        return f"would lose nothing without what any one {reading.step} wrote into the state"
    names = [f"“{printable_name(str(reading.tokens[k]))}”" for k in order]
    first = f"would lose {bits[order[0]]:.2f} bits without what {names[0]} wrote into the state"
    others = [f"{bits[k]:.2f} without {name}" for k, name in zip(order[1:], names[1:])]
    return f"{', '.join([first, *others])} (exact parts, whose bits do not add up)"


def _where(record: Record, reading: Reading, sizes: Array) -> str:
    """Where most of the shares lie: on the last steps, or on the few that count most."""
    total, length = float(sizes.sum()), len(sizes)
    pooled = record.readout is not None and record.readout.kind in ("mean", "final")
    if not pooled:
        for few in _FEW:
            held = float(sizes[-few:].sum()) / total
            if few <= length / 2 and held >= 0.5:
                last = f"the last {reading.step}" if few == 1 else f"the last {few} {reading.steps}"
                return f"to {100 * held:.0f} % on {last} of {length}"
    top = np.sort(np.argsort(-sizes, kind="stable")[: min(3, length)])
    words = ", ".join(printable_name(str(reading.tokens[k])) for k in top)
    return (
        f"to {100 * float(sizes[top].sum()) / total:.0f} % on {reading.count(len(top))} of {length}: {words}"
    )


def _how_sure(record: Record, reading: Reading, memory: Memory | None) -> str:
    if memory is None:
        return "What it read can be followed by its gradient only, shown below as gradient flow."
    share = memory.share
    if not np.isfinite(share):
        return f"Nothing older than the last {reading.step} counts, so there is nothing to doubt."
    lost = 100 * (1 - min(max(share, 0.0), 1.0))
    if share > 1.3:
        return "Do not read this as causes: other paths work against what the gates carry. Check by holding a gate."
    if share >= 0.7:
        return f"This can be read as it stands: only {lost:.0f} % of the memory is rewritten on the way."
    if share >= 0.3:
        return f"Read it with some care: {lost:.0f} % of the memory is rewritten on the way."
    return f"Do not read this as causes: {lost:.0f} % of the memory is rewritten on the way."


def _span(reading: Reading, count: float, *, short: bool = False) -> str:
    """So many steps; where a step lasts a known time, with that.

    >>> frames = Reading(None, (), step="frame", seconds=0.03)
    >>> _span(frames, 4.8), _span(frames, 60.0, short=True), _span(Reading(None, (), step="day"), 3.0)
    ('4.8 frames (144 ms)', '60 (1.8 s)', '3.0 days')
    """
    steps = number(count) if short else f"{number(count)} {reading.steps}"
    if reading.seconds is None:
        return steps
    time = reading.seconds * count
    return f"{steps} ({time:.1f} s)" if time >= 1 else f"{steps} ({1000 * time:.0f} ms)"


def number(value: float) -> str:
    """A count of steps in two digits.

    >>> number(1.234), number(14.6), number(1234.0), number(0.04)
    ('1.2', '15', '1,234', '0.04')
    """
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.95 else f"{value:.1g}"


def printable_name(name: str) -> str:
    """A name in which one can see what is there: spaces and line ends by their signs, where they begin or end it."""
    inner = name.strip("“”")
    if inner == inner.strip() and inner.isprintable() and inner:
        return name
    return name.replace(inner, printable(inner)) if inner else printable(name)
