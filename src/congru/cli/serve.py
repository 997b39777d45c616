"""`congru serve [MODEL...]`: the page and the protocol over model and run folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from congru.errors import require

app = App(name="serve", help="A page over your models and runs, and a server for programs.")


@app.default
def serve(
    *models: Path,
    host: str = "127.0.0.1",
    port: int = 8017,
    token: str | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    data: Path = Path(),
    runs: Path = Path("runs"),
    static: Path | None = None,
    sessions: Annotated[int, Parameter(name="--sessions")] = 4096,
    idle: Annotated[float, Parameter(name="--idle")] = 900.0,
    body: Annotated[int, Parameter(name="--max-body")] = 32 << 20,
    rate: Annotated[float, Parameter(name="--rate")] = 200.0,
) -> int:
    """Open a page over models and runs: see their gates, steer them, train new ones; and serve programs.

    Only this machine may connect, unless a token is given. Ctrl-C ends it; trainings that it started are saved.

    Parameters
    ----------
    models:
        Model folders, run folders, or folders that hold some; default: the folder of --runs, where it exists.
    host:
        The address to listen on; another than loopback needs --token.
    port:
        The port; 0 takes a free one.
    token:
        What clients must send as `Authorization: Bearer TOKEN`; default: the variable CONGRU_TOKEN.
    certificate:
        A PEM certificate, for https.
    key:
        Its PEM key.
    data:
        The folder that trainings started from the page may read from.
    runs:
        Where runs that the page starts go, with uploads and saved sessions.
    static:
        Write the page with these models into a folder instead, which needs no server: they run in the browser.
    sessions:
        Sessions open at once.
    idle:
        Seconds after which a session that nobody uses is closed.
    body:
        Largest request in bytes.
    rate:
        Requests a second from one address.
    """
    for module in ("fastapi", "uvicorn", "websockets"):
        require(module, "serve")
    from congru.serve.app import run
    from congru.serve.options import Limits, Options

    folders = models or ((runs,) if runs.is_dir() else ())
    if static is not None:
        return _write(folders, static)
    limits = Limits(body_bytes=body, sessions=sessions, requests_per_second=rate, idle_seconds=idle)
    options = Options(
        tuple(folders),
        host,
        port,
        token or os.environ.get("CONGRU_TOKEN") or None,
        certificate,
        key,
        data,
        runs,
        runs / "sessions",
        limits,
    )
    scheme = "https" if certificate else "http"
    run(
        options,
        lambda port: print(f"congru serves on {scheme}://{host}:{port}/  (Ctrl-C ends it)", flush=True),
    )
    return 0


def _write(folders: Sequence[Path], out: Path) -> int:
    from congru.serve.site import write_site

    lines = write_site(folders, out)
    print("\n".join([*lines, f"{out / 'index.html'} opens in a browser, and from any server of files"]))
    return 0
