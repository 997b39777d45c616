"""One page frame: offline, light and dark, sections in order, nothing unescaped."""

from __future__ import annotations

import json
import re

import pytest

from congru.report.markup import data_block, escape, figure, paragraphs, preformatted
from congru.report.page import Section, page

SVG = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="http://www.w3.org/2000/svg"><title>t</title></svg>'


def test_sections_stand_in_order_with_links_and_empty_ones_are_left_out() -> None:
    text = page(
        "Run & <model>", [Section("Result", "<p>a</p>"), Section("None", ""), Section("B & C", "<p>b</p>")]
    )
    assert re.findall("<h2>(.*?)</h2>", text) == ["Result", "B &amp; C"]
    assert re.findall(r'<section id="([\w-]+)">', text) == ["result", "b-c"]
    assert re.findall(r'href="#([\w-]+)"', text) == ["result", "b-c"]
    assert "<title>Run &amp; &lt;model&gt;</title>" in text
    assert "<h1>Run &amp; &lt;model&gt;</h1>" in text


def test_a_page_asks_the_network_for_nothing_and_follows_the_readers_colours() -> None:
    text = page("t", [Section("Picture", figure(SVG))])
    assert "default-src 'none'" in text
    assert not re.search(r"<script|<link|<iframe|<img|\bsrc=|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_styles_and_scripts_are_written_once_and_scripts_last() -> None:
    parts = [Section(name, "<p>x</p>", script="run();", style=".x { top: 0; }", key=name) for name in "ab"]
    text = page("t", [*parts, Section("c", "<p>y</p>", script="other();")])
    assert text.count("run();") == text.count(".x { top: 0; }") == 1
    assert text.index("</section>") < text.index("run();") < text.index("other();")


def test_markup_is_escaped() -> None:
    assert escape("<a & b>") == "&lt;a &amp; b&gt;"
    assert (
        figure(SVG) == figure(SVG.encode()) == f'<div class="figure paper">{SVG[SVG.index("<svg") :]}</div>'
    )
    assert paragraphs(["é <b>", ""], "note") == '<p class="note">É &lt;b&gt;</p><p class="note"></p>'
    assert preformatted("<x>\n y") == "<pre>&lt;x&gt;\n y</pre>"
    block = data_block("k", {"token": "</script><b>"})
    assert block.count("</script>") == 1
    assert json.loads(re.search(">(.*)</script>", block).group(1)) == {"token": "</script><b>"}


@pytest.mark.parametrize(("title", "key"), [("What to type next", "what-to-type-next"), ("A & B!", "a-b")])
def test_an_id_comes_from_the_title(title: str, key: str) -> None:
    assert Section(title, "").identifier == key
    assert Section(title, "", key="own").identifier == "own"
