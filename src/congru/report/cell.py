"""How a result shows itself in a notebook: static HTML of the page's own colours, light or dark, without a script.

card("Memory of 'e'", ["in words"], html_table(rows))
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from congru.report.markup import escape, paragraphs

FOR, AGAINST, STRONGEST = "217,115,26", "47,120,183", 0.7
_STYLE = (
    "<style>.congru{font:13px/1.5 system-ui,sans-serif;color:inherit;max-width:900px}.congru p{margin:.25em 0}"
    ".congru table{border-collapse:collapse;font-variant-numeric:tabular-nums}.congru td,.congru th{padding:.1em .9em .1em 0;"
    "text-align:left;background:none;color:inherit}.congru .number{text-align:right}"
    ".congru .steps span{white-space:pre-wrap;border-radius:2px;padding:1px}</style>"
)


def card(title: str, lines: Sequence[str] = (), body: str = "") -> str:
    """A title, sentences, and HTML that is already escaped.

    >>> card("<a>", ["b"]).endswith('<p><b>&lt;a&gt;</b></p><p>B</p></div>')
    True
    """
    return f'<div class="congru">{_STYLE}<p><b>{escape(title)}</b></p>{paragraphs(lines)}{body}</div>'


def colored_steps(tokens: Sequence[str], shares: npt.ArrayLike) -> str:
    """Tokens side by side, orange for a positive share and blue for a negative one, the largest the strongest.

    >>> colored_steps(["a", "b"], [0.0, 2.0])
    '<p class="steps"><span>a</span><span style="background:rgba(217,115,26,0.70)">b</span></p>'
    """
    values = np.asarray(shares, np.float64)
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    joint = "" if all(len(token) <= 1 for token in tokens) else " "
    spans = []
    for token, value in zip(tokens, (STRONGEST * values / largest).tolist()):
        color = FOR if value > 0 else AGAINST
        style = f' style="background:rgba({color},{abs(value):.2f})"' if abs(value) >= 0.005 else ""
        spans.append(f"<span{style}>{escape(token)}</span>")
    return f'<p class="steps">{joint.join(spans)}</p>'
