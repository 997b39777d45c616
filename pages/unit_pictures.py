"""The moving pictures of docs/gru.md: one unit of a GRU at work, and its gradient beside that of a plain RNN.

Every number is computed by `congru.reference`; the pictures are SVG with CSS animation, follow light and dark, and stand still
for readers who asked their system for less motion.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.reference import gru, rnn

# What the unit reads at each step: a value, and whether it matters.
VALUES = (0.2, -0.4, 0.9, 0.1, -0.3, 0.5, 0.0, -0.8, 0.3, 0.2)
MATTERS = (0, 0, 1, 0, 0, 0, 0, 1, 0, 0)
# Rows r, z, n; columns value, matters. It keeps (z near 1) unless the value matters, and then forgets what it held (r near 0).
W = np.array([[0.0, -5.0], [0.0, -6.0], [2.0, 0.0]])
U = np.array([[0.0], [0.0], [0.6]])
B_I = np.array([2.0, 3.0, 0.0])
B_H = np.array([0.0, 0.0, 0.3])
WEIGHTS = (W, U, B_I, B_H)
SECONDS = 2.0  # of a step
LAGS = 30
WIDE = 480
_STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;font-size:14px;fill:#1d1d1f}"
    ".soft{fill:#5f6368}.mono{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:13px}"
    ".b{font-weight:600}.axis{stroke:#8a8d91;stroke-width:1}.track{fill:#8a8d91;fill-opacity:.25}"
    ".old{fill:#2f7fc4}.new{fill:#d0701a}.now{fill:none;stroke:#1d1d1f;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#ececea}.soft{fill:#a9acb0}.now{stroke:#ececea}}"
)


def unit() -> str:
    """One unit through ten steps: what it reads, its gates, what it holds; the equations with their numbers in both forms."""
    x = np.stack([VALUES, MATTERS], axis=1)[None]
    y, _, gates = gru.forward(x, None, WEIGHTS)
    held, (r, z, n) = y[0, :, 0], gates[0, :, :, 0].T
    before = np.r_[0.0, held[:-1]]
    frames = [_frame(k, held, before[k], r[k], z[k], n[k]) for k in range(len(VALUES))]
    label = "One GRU unit through ten steps: it takes over the values that matter and holds them in between."
    return _moving(label, 440, frames, SECONDS, _legend())


def gradient() -> str:
    """How much the state now would change with the state so many steps before: a GRU unit and a plain RNN unit, computed."""
    x = np.zeros((1, LAGS + 1, 2))
    x[0, :, 0] = 0.3 * np.sin(np.arange(LAGS + 1))
    kept = _gradients(gru, x, WEIGHTS)
    plain = _gradients(rnn, x, (W[2:], np.array([[0.8]]), np.zeros(1), np.zeros(1)))
    frames = [_lags(lag, kept, plain) for lag in range(0, LAGS + 1, 2)]
    label = (
        f"The gradient going back in time: after {LAGS} steps a GRU unit that keeps has {kept[-1]:.2f} of it left, a plain RNN"
        f" unit {plain[-1]:.0e}."
    )
    return _moving(label, 300, frames, 0.7, "")


def _gradients(cell: Any, x: Any, weights: Any) -> Any:
    """|d h_T / d h_(T - lag)| for lags 0 to T: the gradient of the last state by the first of ever longer ends of x."""
    gradients = [1.0]
    for lag in range(1, LAGS + 1):
        y, _, _ = cell.forward(x, None, weights)
        part = x[:, LAGS + 1 - lag :]
        state = (y[:, LAGS - lag],)
        dy = np.zeros((1, lag, 1))
        dy[0, -1] = 1
        _, (dh,), *_ = cell.backward(dy, None, part, state, weights)
        gradients.append(abs(float(dh[0, 0])))
    return np.array(gradients)


def _legend() -> str:
    return (
        '<text class="b" x="12" y="20">what it reads (framed: it matters)</text>'
        '<text class="b" x="12" y="118">what it holds, h</text>'
    )


def _bar(x: float, zero: float, value: float, width: float, scale: float, kind: str, more: str = "") -> str:
    top = zero - max(value, 0) * scale
    return f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="{width}" height="{max(1.0, abs(value) * scale):.1f}"{more}/>'


def _frame(k: int, held: Any, before: float, r: float, z: float, n: float) -> str:
    room, parts = (WIDE - 24) / len(VALUES), []
    for t, value in enumerate(VALUES):
        left = 12 + t * room
        faint = ' fill-opacity=".25"' if t > k else ""
        parts.append(_bar(left + 9, 62, value, room - 18, 32, "new", faint))
        if MATTERS[t]:
            parts.append(
                f'<rect class="now" x="{left + 3:.1f}" y="26" width="{room - 6:.1f}" height="72" rx="4"/>'
            )
        if t <= k:
            parts.append(_bar(left + 9, 160, float(held[t]), room - 18, 32, "old"))
    now = 12 + k * room
    parts.append(f'<rect class="track" x="{now:.1f}" y="24" width="{room:.1f}" height="174" rx="4"/>')
    parts += [f'<line class="axis" x1="12" x2="{WIDE - 12}" y1="{y}" y2="{y}"/>' for y in (62, 160)]
    after = float(held[k])
    rows = [
        ("keep gate z", z, f"{z:.2f} of the old stays, {1 - z:.2f} is new"),
        ("reset gate r", r, f"the candidate sees {r:.2f} of the old"),
    ]
    for index, (name, share, words) in enumerate(rows):
        y = 228 + 26 * index
        parts.append(
            f'<text x="12" y="{y}">{name}</text><rect class="track" x="104" y="{y - 11}" width="110" height="12" rx="6"/>'
            f'<rect class="old" x="104" y="{y - 11}" width="{110 * share:.1f}" height="12" rx="6"/>'
            f'<text class="soft" x="226" y="{y}">{words}</text>'
        )
    value, matters = VALUES[k], MATTERS[k]
    inner = 2 * value
    as_before = float(np.tanh(inner + 0.3 + 0.6 * (r * before)))
    equations = [
        f"r = sigmoid(2 - 5*{matters}) = {r:.2f}",
        f"z = sigmoid(3 - 6*{matters}) = {z:.2f}",
        f"n = tanh(2*{value:.1f} + r*(0.6*{before:.2f} + 0.3)) = {n:.2f}   reset after",
        f"n = tanh(2*{value:.1f} + 0.6*(r*{before:.2f}) + 0.3) = {as_before:.2f}   reset before",
        f"h = (1-z)*n + z*h = {1 - z:.2f}*{n:.2f} + {z:.2f}*{before:.2f} = {after:.2f}",
    ]
    for index, line in enumerate(equations):
        kind = "mono soft" if index == 3 else "mono"
        parts.append(f'<text class="{kind}" x="12" y="{296 + 24 * index}">{line}</text>')
    parts.append(
        f'<text class="soft" x="12" y="428">step {k + 1} of {len(VALUES)}; the state drawn is that of reset after</text>'
    )
    return "".join(parts)


def _lags(lag: int, kept: Any, plain: Any) -> str:
    room, parts = (WIDE - 24) / (LAGS + 1), []
    for name, values, zero, kind in (
        ("GRU unit that keeps", kept, 130, "old"),
        ("plain RNN unit", plain, 260, "new"),
    ):
        parts.append(
            f'<text class="b" x="12" y="{zero - 100}">{name}: {values[lag]:.2g} of the gradient left after {lag} steps</text>'
        )
        for k in range(lag + 1):
            parts.append(_bar(WIDE - 12 - (k + 1) * room + 1, zero, float(values[k]), room - 3, 84, kind))
        parts.append(f'<line class="axis" x1="12" x2="{WIDE - 12}" y1="{zero}" y2="{zero}"/>')
    parts.append(
        f'<text class="soft" x="12" y="286">past</text><text class="soft" x="{WIDE - 12}" y="286" text-anchor="end">now</text>'
    )
    return "".join(parts)


def _moving(label: str, high: int, frames: list[str], seconds: float, still: str) -> str:
    """Frames shown one after the other, for ever; the last alone where motion is not wanted."""
    total, share = seconds * len(frames), 100 / len(frames)
    motion = (
        f".f{{opacity:0;animation:show {total:g}s linear infinite}}"
        f"@keyframes show{{0%,{share - 0.01:.2f}%{{opacity:1}}{share:.2f}%,100%{{opacity:0}}}}"
        "@media(prefers-reduced-motion:reduce){.f{animation:none}.f:last-child{opacity:1}}"
    )
    body = "\n".join(
        f'<g class="f" style="animation-delay:{k * seconds - total:g}s">{frame}</g>'
        for k, frame in enumerate(frames)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" width="{WIDE}" height="{high}" role="img"'
        f' aria-label="{label}"><title>{label}</title><style>{_STYLE}{motion}</style>{still}\n{body}\n</svg>\n'
    )
