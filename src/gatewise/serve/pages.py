"""The page: every file of it read once at start-up, so that no request ever becomes a path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

__all__ = ["Asset", "read_page"]

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
    """One file: its bytes, its type, and a tag that changes with the bytes."""

    body: bytes
    type: str
    tag: str


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
            found[path + entry.name] = Asset(body, kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
