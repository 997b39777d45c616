"""One section of the report, and the few pieces of HTML that sections are made of."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from congru.report.style import Picture


@dataclass(frozen=True)
class Chapter:
    """One section of the page; `body` is HTML."""

    key: str
    title: str
    question: str
    body: str
    limit: str = ""

    def html(self) -> str:
        """The section."""
        limit = f'<p class="limit">{html.escape(self.limit)}</p>' if self.limit else ""
        question = f'<p class="question">{html.escape(self.question)}</p>' if self.question else ""
        title = html.escape(self.title)
        return f'<section id="{self.key}"><h2>{title}</h2>{question}\n{self.body}\n{limit}</section>'


def figure_html(svg: str | bytes) -> str:
    """An SVG as part of the page, without its XML head."""
    text = svg.decode("utf-8") if isinstance(svg, bytes) else svg
    return f'<div class="figure">{text[text.index("<svg") :]}</div>'


def picture_html(picture: Picture) -> str:
    """A picture without its caption, which the page prints itself."""
    return figure_html(picture.draw("svg", caption=False))


def paragraphs(lines: Sequence[str]) -> str:
    """One paragraph per line, each with a capital letter."""
    return "".join(f"<p>{html.escape(line[:1].upper() + line[1:])}</p>" for line in lines)


def heading(text: str, wanted: bool) -> str:
    """A heading inside a section, where there is more than one part."""
    return f"<h3>{html.escape(text)}</h3>" if wanted else ""


def table_html(rows: Sequence[tuple[str, Any]]) -> str:
    """Two columns: what and how much."""
    cells = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table>{cells}</table>"
