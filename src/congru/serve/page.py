"""The files of the page, as they were built from `web/`: read once, and nothing else of the disk can be asked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

STATIC = Path(__file__).parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}


def page_router(folder: Path = STATIC) -> APIRouter:
    """Routes for every file below `folder`; `/` is index.html."""
    router = APIRouter(include_in_schema=False)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in _KINDS:
            name = path.relative_to(folder).as_posix()
            router.add_api_route(f"/{name}", _answers(path), methods=["GET", "HEAD"])
            if name == "index.html":
                router.add_api_route("/", _answers(path), methods=["GET", "HEAD"])
    return router


def _answers(path: Path):  # type: ignore[no-untyped-def]
    content, kind = path.read_bytes(), _KINDS[path.suffix]
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return answer
