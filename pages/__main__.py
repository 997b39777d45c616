"""`python -m pages`: write every page that is made from the code."""

from __future__ import annotations

from pages import api, commands, drawing, keywords, nodes, unit_pictures
from pages.paths import DOCS

PAGES = {
    "architecture.svg": drawing.page,
    "commands.md": commands.page,
    "api.md": api.page,
    "networks.md": nodes.page,
    "gru-unit.svg": unit_pictures.unit,
    "gru-gradient.svg": unit_pictures.gradient,
    "../src/congru/tasks/keywords.py": keywords.page,
}


def main() -> None:
    for name, page in PAGES.items():
        path, content = DOCS / name, page()
        changed = not path.exists() or path.read_text() != content
        path.write_text(content)
        print(f"docs/{name}: {'written' if changed else 'as it was'}")


if __name__ == "__main__":
    main()
