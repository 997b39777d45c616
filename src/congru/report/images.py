"""Heat maps inside an SVG, made small: a palette instead of four bytes a pixel, and no more rows than can be seen."""

from __future__ import annotations

import base64
import io
import re

import numpy as np

from congru.errors import require

_IMAGE = re.compile(r'(<image\b[^>]*?href="data:image/png;base64,)([^"]+)("[^>]*>)', re.DOTALL)


def small_images(svg: str, most_rows: int | None = None) -> str:
    """The SVG with each PNG in it written with a palette, where it has at most 256 colours.

    most_rows: of a higher image as many rows are kept, spread evenly; it is drawn at the size it had.
    """

    def smaller(match: re.Match[str]) -> str:
        begin, content, end = match.groups()
        packed = _packed(base64.b64decode(content), most_rows)
        if packed is None:
            return match.group()
        stretched = end if "preserveAspectRatio" in end else f'" preserveAspectRatio="none{end}'
        return f"{begin}{base64.b64encode(packed).decode()}{stretched}"

    return _IMAGE.sub(smaller, svg)


def _packed(content: bytes, most_rows: int | None) -> bytes | None:
    """The same picture with a palette; None where it has too many colours for one."""
    image_module = require("PIL.Image", "plots")
    pixels = np.asarray(image_module.open(io.BytesIO(content)).convert("RGBA"))
    if most_rows is not None and len(pixels) > most_rows:
        pixels = pixels[np.linspace(0, len(pixels) - 1, most_rows).round().astype(int)]
    colors, numbers = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colors) > 256:
        return None
    image = image_module.fromarray(numbers.reshape(pixels.shape[:2]).astype(np.uint8), "P")
    image.putpalette(colors[:, :3].ravel().tolist())
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True, transparency=bytes(colors[:, 3].tolist()))
    return stream.getvalue()
