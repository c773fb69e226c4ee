"""A plane of numbers as a picture: one pixel a cell, a PNG with a palette, written by hand so that nothing is needed.

Signed planes run from one colour over the page's own to another (blue and orange, which most colour-blind eyes tell
apart), symmetric around 0; gates from the page to violet. Two palettes, for a light and for a dark page.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Literal

import numpy as np

from gatewise.cell import Array

__all__ = ["Palette", "levels", "picture"]

Palette = Literal["signed-light", "signed-dark", "gate-light", "gate-dark"]
_STOPS: dict[Palette, tuple[str, ...]] = {
    "signed-light": ("8f3b00", "f4f2ed", "0b4a8f"),
    "signed-dark": ("ffb066", "1b1e24", "74b9ff"),
    "gate-light": ("f4f2ed", "c2bbd1", "9287b5", "665397", "3f1d78"),
    "gate-dark": ("1b1e24", "434054", "706589", "a08cc2", "d3b6ff"),
}


def levels(plane: Array, signed: bool) -> tuple[Array, float]:
    """plane (rows, columns) as uint8, and what the ends stand for.

    Signed: 0 stands at 127, the ends for ± the 99th percentile of the sizes, beyond which colours stay the same. Gates:
    from 0 to 1.
    """
    if not signed:
        return np.clip(np.rint(plane * 254), 0, 254).astype(np.uint8), 1.0
    end = float(np.quantile(np.abs(plane), 0.99)) if plane.size else 1.0
    end = end or 1.0
    return np.clip(np.rint(127 + 127 * plane / end), 0, 254).astype(np.uint8), end


def picture(cells: Array, palette: Palette) -> str:
    """cells (rows, columns) uint8 from `levels` as the data: address of a PNG."""
    rows, columns = cells.shape
    ramp = _ramp(_STOPS[palette]).tobytes()
    lines = b"".join(b"\0" + row.tobytes() for row in cells)  # filter 0 in front of each line
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", ramp), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _ramp(stops: tuple[str, ...]) -> Array:
    """(256, 3) uint8 through the stops."""
    colours = np.array([[int(stop[n : n + 2], 16) for n in (0, 2, 4)] for stop in stops], dtype=np.float64)
    at, places = np.clip(np.arange(256) / 254, 0, 1), np.linspace(0, 1, len(stops))
    ramp = np.stack([np.interp(at, places, colours[:, n]) for n in range(3)], axis=1)
    return np.rint(ramp).astype(np.uint8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
