"""The pieces of HTML that sections are made of; all text is escaped here, so that nothing in a page is markup by accident."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence


def escape(value: object) -> str:
    """Text that is safe inside HTML.

    >>> escape("<b>")
    '&lt;b&gt;'
    """
    return html.escape(str(value))


def figure(svg: str | bytes) -> str:
    """An SVG picture as part of a page, without its XML head; turned over in the dark, unless it follows light and dark itself.

    >>> figure("<svg></svg>")
    '<div class="figure paper"><svg></svg></div>'
    """
    text = svg.decode("utf-8") if isinstance(svg, bytes) else svg
    own = "" if "prefers-color-scheme" in text else " paper"
    return f'<div class="figure{own}">{text[text.index("<svg") :]}</div>'


def paragraphs(lines: Sequence[str], kind: str = "") -> str:
    """One paragraph per line, each beginning with a capital letter; `kind` is its class: question, limit or note.

    >>> paragraphs(["a & b", "c"])
    '<p>A &amp; b</p><p>C</p>'
    """
    tag = f'<p class="{kind}">' if kind else "<p>"
    return "".join(f"{tag}{escape(line[:1].upper() + line[1:])}</p>" for line in lines)


def preformatted(text: str) -> str:
    """Text in the page's fixed-width font, its line ends kept."""
    return f"<pre>{escape(text)}</pre>"


def data_block(key: str, value: object) -> str:
    """A value as JSON for a script of the page, which finds it under the id `key`.

    >>> data_block("numbers", {"text": "</script>"})
    '<script type="application/json" id="numbers">{"text":"<\\\\/script>"}</script>'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return f'<script type="application/json" id="{key}">{text}</script>'
