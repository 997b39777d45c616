"""What every picture shares: the canvas, the colours, the caption, and saving as SVG or PNG.

Shares from 0 to 1 are drawn in cividis, signed values in blue and orange around a light middle. Figures are
made without pyplot, so nothing global changes and no window opens.
"""

from __future__ import annotations

import html
import io
import os
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from congru.errors import CongruError, require
from congru.report.cell import card
from congru.report.colors import SHARE, SIGNED
from congru.report.images import small_images

BLUE, ORANGE, INK, GREY, PALE = "#2f7fc4", "#d0701a", "#222222", "#7d7d7d", "#b4b4b4"
# Wide enough for a page, and read on a phone, where it is drawn at three quarters: type of 9 points stays legible.
WIDTH = 4.8
NOTEBOOK_ROWS = 48  # of a heat map: six of them, 200 columns wide, stay below 100 kB
# Blue, orange, purple, green-blue, brown (after Okabe & Ito); each has a contrast of 3 to 1 on white and on near black.
LINES = ("#2f7fc4", "#d0701a", "#a05cb5", "#1f9483", "#97793a", "#808080")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))
STYLE = {
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "text.color": INK,
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.parse_math": False,
    "figure.dpi": 110,
    "savefig.dpi": 150,
}


@contextmanager
def styled(salt: str = "congru") -> Iterator[Any]:
    """matplotlib with the style above, for the length of a with block; missing glyphs are drawn as boxes, silently.

    `salt` makes the ids inside an SVG: pictures on one page need different ones.
    """
    matplotlib = require("matplotlib", "plots")
    with warnings.catch_warnings(), matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield matplotlib


@dataclass(frozen=True)
class Picture:
    """A figure with the question it answers and the limit of its reading; both are its caption."""

    name: str
    figure: Any
    question: str
    limit: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture with its caption; the suffix (.svg or .png) chooses the format."""
        target = Path(path)
        if target.suffix not in (".svg", ".png"):
            raise CongruError(
                f"picture path is {target.name!r}, expected a name ending in .svg or .png: rename it"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.draw(target.suffix[1:]))
        return target

    def draw(
        self, kind: str = "svg", *, caption: bool = True, dpi: int = 150, most_rows: int | None = None
    ) -> bytes:
        """The file's bytes as "svg" or "png", with the caption in the picture or without.

        most_rows: of an SVG, how many rows of a heat map are kept at most.
        """
        stream = io.BytesIO()
        with styled():
            texts = self._caption() if caption else []
            vector = kind == "svg"
            options = {"metadata": {"Date": None}} if vector else {"facecolor": "white"}
            self.figure.savefig(stream, format=kind, dpi=100 if vector else dpi, **options)
            for text in texts:
                text.set_text("")
        if not vector:
            return stream.getvalue()
        small = small_images(stream.getvalue().decode(), most_rows)
        return in_both_modes(small, self.question).encode()

    def _repr_html_(self) -> str:
        svg = self.draw("svg", caption=False, most_rows=NOTEBOOK_ROWS).decode()
        return card(self.question, [self.limit], svg[svg.index("<svg") :])

    def _caption(self) -> list[Any]:
        columns = int(self.figure.get_figwidth() * 17)
        above = textwrap.fill(self.question, int(columns * 0.68))
        below = textwrap.fill(self.limit, columns)
        return [
            self.figure.suptitle(above, x=0.01, ha="left", fontsize=11, color=INK),
            self.figure.supxlabel(below, x=0.01, ha="left", fontsize=8, color=GREY),
        ]


# What a dark page changes: ink becomes light; signed heat maps, whose middle is light, are turned over, hues kept.
_DARK = (
    "".join(
        f'[style*="{attribute}: {color}"]{{{attribute}:{light}!important}}'
        for color, light in ((INK, "#ececea"), (GREY, "#a9acb0"), (PALE, "#5a5d61"))
        for attribute in ("fill", "stroke")
    )
    + "".join(f'[id$="-{kind}"],' for kind in ("candidate", "state", "cell"))
    + ('[id$="-signed"]{filter:invert(1) hue-rotate(180deg)}')
)


def in_both_modes(svg: str, title: str) -> str:
    """An SVG of matplotlib that follows light and dark by itself, and says what it is to those who do not see it.

    >>> in_both_modes('<svg width="9">...</svg>', "Is it?")[:42]
    '<svg role="img" aria-label="Is it?" width='
    """
    begin = svg.index("<svg")
    end = svg.index(">", begin)
    name = html.escape(title)
    style = f"<style>@media (prefers-color-scheme:dark){{{_DARK}}}</style>"
    head = f'{svg[:begin]}<svg role="img" aria-label="{name}"{svg[begin + 4 : end]}>'
    return f"{head}{style}{svg[end + 1 :]}"


def new_figure(matplotlib: Any, width: float, height: float) -> Any:
    """An empty figure of that size in inches, laid out so that nothing overlaps."""
    figure_module = require("matplotlib.figure", "plots")
    return figure_module.Figure(figsize=(width, height), layout="constrained")


def color_map(matplotlib: Any, signed: bool) -> Any:
    """The scale of `congru.report.colors` for matplotlib, in 64 levels: the eye sees no more, files are a third."""
    colors = require("matplotlib.colors", "plots")
    return colors.LinearSegmentedColormap.from_list("congru", SIGNED if signed else SHARE, N=64)
