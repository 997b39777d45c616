"""The page as a folder of files that needs no server: models, their runs and an example of each travel in it.

Every file is a script that a browser also loads from disk, so that a copy opens with a double click.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from congru.errors import CongruError, SettingsError
from congru.export.wasm.target import HERE as WASM
from congru.runtime.atomic import clear_leftovers, folder_beside, put_folder
from congru.serve.http import model_entry
from congru.serve.library import Library, Shelf
from congru.serve.options import Options
from congru.serve.packing import live_text, pack_example, pack_networks
from congru.serve.page import STATIC
from congru.serve.protocol import ForecastBody
from congru.serve.runs import Runs, read_rows
from congru.version import __version__

MARK = "models.js"  # what tells the folder of a site from any other
MOST_SERIES = 40


def write_site(folders: Sequence[Path], out: Path) -> list[str]:
    """Write the models below `folders` as a site into `out`, which appears whole or not at all; returns a line for each.

    An older site at `out` is replaced. Raises :class:`~congru.errors.SettingsError` where something else lies there, and where
    there is no model.
    """
    target = out.absolute()
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or (target / MARK).exists())):
        raise SettingsError(
            f"static is '{out}', expected nothing, an empty folder or an older site: choose another"
        )
    library = Library(folders)
    shelves = [shelf for shelf in library.scan().values() if shelf.has_model]
    if not shelves:
        raise SettingsError(
            f"models is {[str(folder) for folder in folders]}, expected at least one model: train one first"
        )
    runs = Runs(library, Options())
    lines = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(target.parent, target.name)
        with folder_beside(target) as fresh:
            _copy_page(fresh)
            for shelf in shelves:
                lines.append(_write_model(shelf, runs, fresh))
            entries = [model_entry(shelf, runs) for shelf in shelves]
            core = base64.b64encode((WASM / "congru.wasm").read_bytes()).decode()
            known = {"version": __version__, "models": entries, "core": core, "packed": {}}
            (fresh / MARK).write_text(f"window.congruSite = {_script(known)};\n", encoding="utf-8")
            put_folder(fresh, target)
    except OSError as error:
        raise SettingsError(
            f"static is '{out}' ({error.strerror}), expected a place to write: check it"
        ) from None
    return lines


def _copy_page(folder: Path) -> None:
    """The built page; its script as a plain one, which browsers also load from disk."""
    shutil.copytree(STATIC, folder, dirs_exist_ok=True)
    script = (STATIC / "page.js").read_text(encoding="utf-8")
    (folder / "page.js").write_text(f"(() => {{\n{script}\n}})();\n", encoding="utf-8")
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    start = text.index('<script type="module"')
    end = text.index("</script>", start) + len("</script>")
    plain = f'<script defer src="./{MARK}"></script>\n    <script defer src="./page.js"></script>'
    text = text[:start] + plain + text[end:]
    (folder / "index.html").write_text(text.replace(" crossorigin", ""), encoding="utf-8")


def _write_model(shelf: Shelf, runs: Runs, folder: Path) -> str:
    """NAME.model.js; returns what the command says of it."""
    model = shelf.model()
    networks, example = pack_networks(model), pack_example(shelf)
    live = live_text(model, networks, example)
    packed: dict[str, Any] = {"networks": networks, "example": example, "live": live}
    if shelf.is_run:
        packed["run"] = _without_paths({**runs.describe(shelf), "command": ""})
        packed["rows"] = read_rows(shelf.path / "metrics.csv", 0)[0]
    if model.task == "forecast":
        packed["forecasts"] = _forecasts(shelf)
    text = f"window.congruSite.packed[{json.dumps(shelf.name)}] = {_script(packed)};\n"
    path = folder / f"{shelf.name}.model.js"
    path.write_text(text, encoding="utf-8")
    count, left = len(networks["description"]["networks"]), networks["left"]
    says = "reads any text" if live else "shows an example"
    why = f"; {'; '.join(f'{name} stays behind: {reason}' for name, reason in left.items())}" if left else ""
    return f"{shelf.name}: {says}, {count} of {len(model.networks)} networks run in the browser, {len(text):,} bytes{why}"


def _without_paths(value: Any) -> Any:
    """A run without the names of files on this machine: a site is shown to others."""
    if isinstance(value, dict):
        return {
            key: _without_paths(one)
            for key, one in value.items()
            if key in ("sample", "verdict") or not (isinstance(one, str) and ("/" in one or "\\" in one))
        }
    if isinstance(value, list):
        return [_without_paths(one) for one in value if not (isinstance(one, str) and "/" in one)]
    return value


def _forecasts(shelf: Shelf) -> dict[str, Any]:
    """What the model forecasts for its series, as the server answers."""
    from congru.serve.subjects import forecast

    try:
        first = forecast.ask(shelf, ForecastBody())
        names = first["series"][:MOST_SERIES]
        return {name: {**forecast.ask(shelf, ForecastBody(series=name)), "series": names} for name in names}
    except CongruError:
        return {}


def _script(value: Any) -> str:
    """JSON that may stand in a script."""
    return (
        json.dumps(value, ensure_ascii=False, allow_nan=False)
        .replace("</", "<\\/")
        .replace("\u2028", "\\u2028")
    )
