"""The pieces of a player's page: tables with bars, scores with their intervals, stacked bars; they follow the page's width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from congru.report.markup import escape
from congru.tasks.chess.tendencies import Score

COLORS = ("#4878a8", "#d98a3a", "#4e9a6a", "#a5679f", "#b0a04a", "#8a8f96")
STYLE = """
.wide { overflow-x: auto; } .wide table { min-width: 0; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 0 2rem; align-items: start; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 1.4rem; margin: 1rem 0; }
.cards p { margin: .3rem 0; font-size: .92rem; }
td.number, th.number { white-space: nowrap; padding-left: .4rem; } td, th { padding-right: .7rem; }
.bar { display: inline-block; vertical-align: middle; width: 6rem; height: .7rem; margin-right: .5rem; border-radius: .2rem;
  background: linear-gradient(var(--tone, #4878a8) 0 0) 0 / var(--share) 100% no-repeat, var(--line); }
.whisker { display: inline-block; position: relative; vertical-align: middle; width: 7rem; height: .9rem; background:
  linear-gradient(var(--soft) 0 0) 50% 0 / 1px 100% no-repeat, linear-gradient(var(--line) 0 0) 0 50% / 100% 1px no-repeat; }
.whisker i { position: absolute; top: .3rem; height: .3rem; left: var(--low); right: var(--high); background: #4878a8;
  border-radius: .15rem; }
.whisker b { position: absolute; top: .1rem; left: calc(var(--at) - .14rem); width: .28rem; height: .7rem;
  background: var(--ink); }
.n { white-space: nowrap; }
.side td .bar, .side .whisker { display: block; width: 3.6rem; margin: .4rem 0 .1rem; } .side .n small { display: block; }
.side table { font-size: .92rem; }
@media (max-width: 40rem) {
  td .bar, .whisker { display: block; width: 3rem; margin: .4rem 0 .1rem; } .n small { display: block; }
  .wide table { font-size: .82rem; } .wide td, .wide th { padding-right: .35rem; } .board { max-width: 100%; }
}
.years { margin: .6rem 0 1.2rem; } .years div { display: flex; align-items: center; gap: .6rem; margin: .15rem 0; }
.years .label { flex: 0 0 5.4rem; font-size: .85rem; font-variant-numeric: tabular-nums; }
.years .total { flex: 0 0 2.6rem; text-align: right; font-size: .85rem; color: var(--soft); }
.years .stack { flex: 1 1 auto; display: flex; gap: 1px; height: 1.05rem; border-radius: .2rem; overflow: hidden; margin: 0; }
.years .stack { align-items: stretch; } .years .stack span { flex: 0 0 auto; }
.key { font-size: .88rem; } .key span { white-space: nowrap; margin-right: 1rem; }
.key i { display: inline-block; width: .75rem; height: .75rem; border-radius: .15rem; margin-right: .35rem; }
"""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Shown = Html | str | int | None


def table(header: Sequence[str], rows: Sequence[Sequence[Shown]]) -> str:
    """A table whose cells are HTML, text or whole numbers; it scrolls where the page is narrow; "" without rows.

    >>> table(["a"], [["<"]])
    '<div class="wide"><table><tr><th>a</th></tr><tr><td>&lt;</td></tr></table></div>'
    """
    if not rows:
        return ""
    numeric = [all(isinstance(row[k], int) or row[k] is None for row in rows) for k in range(len(header))]
    kinds = [' class="number"' if right else "" for right in numeric]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(header, kinds))
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{_cell(cell)}</td>' for cell, kind in zip(row, kinds))}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _cell(cell: Shown) -> str:
    if isinstance(cell, Html):
        return cell
    return "" if cell is None else f"{cell:,}" if isinstance(cell, int) else escape(cell)


def percent(share: float | None) -> str:
    """A share as a reader says it.

    >>> percent(0.917), percent(0.004), percent(0.0001), percent(0.998), percent(None)
    ('92 %', '0.4 %', '<0.1 %', '99.8 %', '')
    """
    if share is None:
        return ""
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.00995 or 0.99 < share < 1 else f"{100 * share:.0f} %"


def bar(share: float | None, tone: str = COLORS[0]) -> Html:
    """A share as a bar with its number."""
    if share is None:
        return Html("")
    style = f"--share:{100 * share:.1f}%;--tone:{tone}"
    return Html(f'<span class="n"><span class="bar" style="{style}"></span>{escape(percent(share))}</span>')


def whisker(score: Score) -> Html:
    """The points per game between 0 and 1, and the interval around it."""
    if not score.games:
        return Html("no result")
    low, high = score.interval
    style = f"--low:{100 * low:.1f}%;--high:{100 - 100 * high:.1f}%;--at:{100 * score.share:.1f}%"
    return Html(
        f'<span class="n"><span class="whisker" style="{style}">'
        f"<i></i><b></b></span> {percent(score.share)} <small>({100 * low:.0f} to {100 * high:.0f})</small></span>"
    )


def results(score: Score) -> str:
    """Wins, draws and losses.

    >>> results(Score(3, 1, 2))
    '+3 =1 -2'
    """
    return f"+{score.wins} ={score.draws} -{score.losses}"


def unbroken(text: str) -> Html:
    """Text that stays on one line of its cell."""
    return Html(f'<span class="n">{escape(text)}</span>')


def stacked(rows: Mapping[str, Mapping[str, int]], kinds: Sequence[str]) -> str:
    """A bar for each row: the shares of its kinds, in their order; what is no kind of `kinds` is left out.

    Args:
        rows: label -> kind -> count.
        kinds: at most six, the commonest first.
    """
    tones = dict(zip(kinds, COLORS))
    key = "".join(f'<span><i style="background:{tones[kind]}"></i>{escape(kind)}</span>' for kind in kinds)
    lines = []
    for label, counts in rows.items():
        total = sum(counts.get(kind, 0) for kind in kinds)
        if not total:
            continue
        parts = "".join(
            f'<span style="width:{100 * counts[kind] / total:.2f}%;background:{tones[kind]}" '
            f'title="{escape(label)}: {escape(kind)} {counts[kind]} of {total}"></span>'
            for kind in kinds
            if counts.get(kind)
        )
        lines.append(
            f'<div><span class="label">{escape(label)}</span><div class="stack">{parts}</div>'
            f'<span class="total">{total}</span></div>'
        )
    return f'<p class="key">{key}</p><div class="years">{"".join(lines)}</div>' if lines else ""
