"""Writes the measured tables of the documents from results/: `python -m bench.documents`; a test holds text and files equal.

A block between `<!-- results:NAME -->` and `<!-- end -->` is what `BLOCKS[NAME]` makes of results/.
"""

from __future__ import annotations

import re

from bench import (
    assistant_tables,
    chess_tables,
    export_tables,
    forecast_tables,
    gpu_tables,
    reliability_tables,
    runtime_tables,
    scale_tables,
    serve_tables,
    speech_tables,
    tables,
    translate_tables,
)
from bench.record import ROOT

BLOCKS = {
    **tables.BLOCKS,
    **assistant_tables.BLOCKS,
    **chess_tables.BLOCKS,
    **speech_tables.BLOCKS,
    **translate_tables.BLOCKS,
    **export_tables.BLOCKS,
    **forecast_tables.BLOCKS,
    **gpu_tables.BLOCKS,
    **reliability_tables.BLOCKS,
    **runtime_tables.BLOCKS,
    **serve_tables.BLOCKS,
    **scale_tables.BLOCKS,
}
DOCUMENTS = (
    "README.md",
    "docs/assistant.md",
    "docs/batches.md",
    "docs/chess.md",
    "docs/distributed.md",
    "docs/export.md",
    "docs/forecast.md",
    "docs/gates.md",
    "docs/gpu.md",
    "docs/memory.md",
    "docs/music.md",
    "docs/promises.md",
    "docs/results.md",
    "docs/runtime.md",
    "docs/sentiment.md",
    "docs/serve.md",
    "docs/speech.md",
    "docs/speed.md",
    "docs/translate.md",
    "docs/video.md",
)
_BLOCK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewritten(text: str) -> str:
    """A document with every block made anew."""
    return _BLOCK.sub(lambda match: match[1] + BLOCKS[match[2]]() + match[3], text)


def main() -> None:
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(rewritten(path.read_text()))
        print(f"{name}: tables written from results/")


if __name__ == "__main__":
    main()
