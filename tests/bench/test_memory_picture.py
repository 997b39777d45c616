"""The picture of the long memory: small, and every cell and level is named."""

from __future__ import annotations

from pathlib import Path

from bench.memory import FLOW_LAG
from bench.memory_picture import COLORS, draw
from bench.tables import result


def test_the_picture_is_small_and_says_what_it_shows(tmp_path: Path) -> None:
    svg = draw(result("memory"), FLOW_LAG, tmp_path / "memory.svg").read_text()
    assert len(svg) < 150_000
    for words in (
        ">GRU<",
        ">minGRU<",
        ">LSTM<",
        ">RNN<",
        ">remembers nothing<",
        "symbols, not their order",
        "1,000",
    ):
        assert words in svg
    for color in COLORS.values():
        assert svg.count(color) > 5  # legend, losses, gradient
