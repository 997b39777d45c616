"""One chapter of the report about gates: a question, pictures, and the limit of their reading."""

from __future__ import annotations

from dataclasses import dataclass

from congru.report.markup import escape, figure, paragraphs
from congru.report.page import Section
from congru.report.style import Picture


@dataclass(frozen=True)
class Chapter:
    """A chapter; `body` is HTML, question and limit are text."""

    key: str
    title: str
    question: str
    body: str
    limit: str = ""

    def section(self) -> Section:
        """The chapter as a section of the page: question first, limit last."""
        question = paragraphs([self.question], "question") if self.question else ""
        limit = paragraphs([self.limit], "limit") if self.limit else ""
        return Section(self.title, f"{question}\n{self.body}\n{limit}", key=self.key)


def picture_html(picture: Picture) -> str:
    """A picture without its caption, which the page prints itself."""
    return figure(picture.draw("svg", caption=False))


def heading(text: str, wanted: bool) -> str:
    """A heading inside a chapter, where there is more than one part."""
    return f"<h3>{escape(text)}</h3>" if wanted else ""
