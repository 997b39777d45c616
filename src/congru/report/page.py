"""One offline HTML page from sections: everything is inside the file, and no request leaves it.

Light and dark follow the reader's system; pictures that do not follow them are turned over in the dark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from congru.report.markup import escape

# The page may use what it holds, and fetch nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:"
_STYLE = Path(__file__).parent / "page.css"


@dataclass(frozen=True)
class Section:
    """One section of a page. `html` is already escaped (see `congru.report.markup`) and fetches nothing.

    script: JavaScript that runs after the whole page is there; style: CSS for this section alone; key: the
    section's id in the page, made from its title where none is given.
    """

    title: str
    html: str
    script: str = ""
    style: str = ""
    key: str = ""

    @property
    def identifier(self) -> str:
        """The id that links point to.

        >>> Section("What to type next", "").identifier
        'what-to-type-next'
        """
        return self.key or re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole page as text: a heading, links to the sections, and every section whose html is not empty.

    A style or a script that several sections share is written once.

    >>> "<h2>Result</h2>" in page("A run", [Section("Result", "<p>2.25</p>"), Section("Empty", "")])
    True
    """
    shown = [section for section in sections if section.html]
    links = "".join(f'<a href="#{part.identifier}">{escape(part.title)}</a>' for part in shown)
    styles = [_STYLE.read_text(encoding="utf-8"), *(part.style for part in shown)]
    scripts = dict.fromkeys(part.script for part in shown if part.script)
    body = "\n".join(
        f'<section id="{part.identifier}"><h2>{escape(part.title)}</h2>\n{part.html}\n</section>'
        for part in shown
    )
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<style>\n{''.join(dict.fromkeys(styles))}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n<nav>{links}</nav>\n{body}\n"
        f"{''.join(f'<script>{chr(10)}{script}</script>{chr(10)}' for script in scripts)}</body></html>\n"
    )
