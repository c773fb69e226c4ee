"""The files of the page, read once at startup, so that no request ever becomes a file path."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

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
class StaticFile:
    """One file: its bytes, media type, ETag, and the gzipped bytes where they are fewer.

    Only static files are gzipped. The length of a compressed response can reveal a secret in it (BREACH, Gluck et al.
    2013).
    """

    body: bytes
    type: str
    etag: str
    gzipped: bytes | None = None


def read_static_files() -> MappingProxyType[str, StaticFile]:
    """Every file of gatewise/serve/page by URL path; `/` is index.html. Files of unknown types are left out."""
    found: dict[str, StaticFile] = {}
    _walk(files("gatewise.serve") / "page", "/", found)
    found["/"] = found["/index.html"]
    return MappingProxyType(found)


def _walk(folder: Traversable, path: str, found: dict[str, StaticFile]) -> None:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            _walk(entry, f"{path}{entry.name}/", found)
            continue
        media_type = _TYPES.get("." + entry.name.rpartition(".")[2])
        if media_type is not None:
            body = entry.read_bytes()
            gzipped = gzip.compress(body, mtime=0)
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            found[path + entry.name] = StaticFile(body, media_type, etag, gzipped if len(gzipped) < len(body) else None)


def accepts_gzip(headers: Sequence[str]) -> bool:
    """Whether these Accept-Encoding headers (RFC 9110, 12.5.3) name gzip with a quality above 0; `*` does not count."""
    for part in ",".join(headers).lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            quality = weight.replace(" ", "").removeprefix("q=")
            return quality.rstrip("0") not in ("", "0.") if weight.strip() else True
    return False
