"""The page: every file of it read once at start-up, so that no request ever becomes a path."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

__all__ = ["Asset", "read_page", "takes_gzip"]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, its type, a tag that changes with the bytes, and the bytes packed where that saves any.

    Packing what everybody gets is safe; answers are never packed, whose length would tell of what is secret in them
    (BREACH, Gluck et al. 2013).
    """

    body: bytes
    type: str
    tag: str
    packed: bytes | None = None


def read_page() -> MappingProxyType[str, Asset]:
    """Every file of gatewise/serve/page by its URL path; `/` is index.html. Files of other kinds are left out."""
    found: dict[str, Asset] = {}
    _walk(files("gatewise.serve") / "page", "/", found)
    found["/"] = found["/index.html"]
    return MappingProxyType(found)


def _walk(folder: Traversable, path: str, found: dict[str, Asset]) -> None:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            _walk(entry, f"{path}{entry.name}/", found)
            continue
        kind = _TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None:
            body = entry.read_bytes()
            packed = gzip.compress(body, mtime=0)
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            found[path + entry.name] = Asset(body, kind, tag, packed if len(packed) < len(body) else None)


def takes_gzip(accepted: Sequence[str]) -> bool:
    """Whether these Accept-Encoding headers (RFC 9110, 12.5.3) allow gzip by name; `*` alone is not asked for."""
    for part in ",".join(accepted).lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            quality = weight.replace(" ", "").removeprefix("q=")
            return quality.rstrip("0") not in ("", "0.") if weight.strip() else True
    return False
