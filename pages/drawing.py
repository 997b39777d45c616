"""The drawing of the architecture: a box for every folder, an arrow for every import that no longer path stands for.

Arrows come from the import statements of the package; only the places of the boxes and their words stand here. An import
that another path of arrows implies (cli -> runtime, by way of tasks) is left out: what is drawn below may be imported by
what is above it.
"""

from __future__ import annotations

import ast
from xml.sax.saxutils import escape

from pages.paths import SOURCE

# Folder (or file at the top) -> column, row, what it is.
BOXES: dict[str, tuple[float, int, str]] = {
    "cli": (1, 0, "the commands"),
    "serve": (0, 1, "the page, HTTP, WebSocket"),
    "batch": (1, 1, "tables in shards"),
    "tasks": (0, 2, "text, forecast, ...: four files each"),
    "contest": (2, 2, "who learns at long lags"),
    "sweep": (1, 3, "many trainings, many workers"),
    "convert": (0, 4, "other libraries' models"),
    "train": (1, 4, "the loop, the run folder"),
    "export": (2, 4, "models in other places"),
    "data": (0, 5, "files to batches"),
    "nn": (1, 5, "torch layers and networks"),
    "gates": (2, 5, "traces, memory, timescales"),
    "runtime": (1, 6, "model folder, graph, sessions"),
    "report": (2, 7, "pages, tables, charts"),
    "ops": (1, 7, "chooses the backend"),
    "kernels": (1, 8, "the equations, fast"),
    "core": (0, 9, "the C core"),
    "reference": (1, 9, "the equations, in NumPy"),
    "errors": (1, 10, "exceptions, shape checks"),
}
LEFT_OUT = {"version"}  # a number that anything may read
EXTENSION = ("kernels", "core")  # compiled from core/, so that no import statement of a file leads there
WIDTH, HEIGHT, COLUMN, ROW, EDGE = 214, 46, 250, 84, 18
STYLE = (
    ".box{fill:#eef4fb;stroke:#3a6ea5}.name{fill:#1f2328}.words{fill:#424a53}.arrow{stroke:#57606a}.tip{fill:#57606a}"
    "@media(prefers-color-scheme:dark){.box{fill:#16222f;stroke:#5b93cf}.name{fill:#ececea}.words{fill:#b9bcc0}"
    ".arrow{stroke:#a9acb0}.tip{fill:#a9acb0}}"
)


def imports() -> dict[str, set[str]]:
    """For each part of the package the parts it imports, also inside functions."""
    graph: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).parts
        if parts in {("__init__.py",), ("__main__.py",)}:
            continue
        own = parts[0] if len(parts) > 1 else path.stem
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                if name.startswith("congru."):
                    graph.setdefault(own, set()).add(name.split(".")[1])
    known = {path.stem for path in SOURCE.iterdir()} - LEFT_OUT
    return {own: (others & known) - {own} for own, others in graph.items() if own in known}


def arrows(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The imports that no path over another part implies.

    >>> arrows({"a": {"b", "c"}, "b": {"c"}})
    [('a', 'b'), ('b', 'c')]
    """

    def below(part: str) -> set[str]:
        return {deeper for other in graph.get(part, ()) for deeper in {other} | below(other)}

    return sorted(
        (part, other)
        for part, others in graph.items()
        for other in others
        if not any(other in below(between) for between in others - {other})
    )


def page() -> str:
    """docs/architecture.svg."""
    lines = [*map(_arrow, [*arrows(imports()), EXTENSION]), *map(_box, BOXES)]
    width, height = 2 * COLUMN + WIDTH + 2 * EDGE, 10 * ROW + HEIGHT + 2 * EDGE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
            ' aria-label="The folders of the package: each may import what its arrows lead to, and all below that"'
            ' font-family="sans-serif" text-anchor="middle">',
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
            ' orient="auto"><path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>',
            *lines,
            "</svg>\n",
        ]
    )


def _corner(name: str) -> tuple[float, float]:
    if name not in BOXES:
        raise SystemExit(f"{name!r} has no box, expected its place and words in pages/drawing.py: add them")
    column, row, _ = BOXES[name]
    return EDGE + column * COLUMN, EDGE + row * ROW


def _arrow(ends: tuple[str, str]) -> str:
    (x1, y1), (x2, y2) = map(_corner, ends)
    lean = (x2 - x1) / COLUMN  # leave and arrive on the side that the other box is on
    start, stop = x1 + WIDTH * (0.5 + 0.2 * lean), x2 + WIDTH * (0.5 - 0.2 * lean)
    turn = y2 - ROW + HEIGHT if x1 != x2 else y1 + HEIGHT  # past the boxes between, straight down
    return (
        f'<path class="arrow" data-from="{ends[0]}" data-to="{ends[1]}" d="M{start:g} {y1 + HEIGHT:g} V{turn:g} L{stop:g} {y2:g}"'
        ' stroke-width="1.5" fill="none" marker-end="url(#tip)"/>'
    )


def _box(name: str) -> str:
    x, y = _corner(name)
    middle, words = x + WIDTH / 2, BOXES[name][2]
    label = "core/ (C11)" if name == "core" else f"{name}.py" if (SOURCE / f"{name}.py").exists() else name
    return (
        f'<g data-box="{name}"><rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6"'
        f' class="box"/><text x="{middle:g}" y="{y + 19:g}" font-size="15" font-weight="bold"'
        f' class="name">{escape(label)}</text><text x="{middle:g}" y="{y + 36:g}" font-size="12"'
        f' class="words">{escape(words)}</text></g>'
    )
