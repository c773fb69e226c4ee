"""The files of the page, read once at startup, so that no request ever becomes a file path."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
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


def read_static_files() -> dict[str, StaticFile]:
    """The files of gatewise/serve/page of known types by URL path; `/` is index.html and `/docs` docs.html."""
    found: dict[str, StaticFile] = {}
    for entry in (files("gatewise.serve") / "page").iterdir():
        media_type = _TYPES.get("." + entry.name.rpartition(".")[2])
        if media_type is not None:
            body = entry.read_bytes()
            gzipped = gzip.compress(body, mtime=0)
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            found[f"/{entry.name}"] = StaticFile(body, media_type, etag, gzipped if len(gzipped) < len(body) else None)
    found["/"], found["/docs"] = found["/index.html"], found["/docs.html"]
    return found


def accepts_gzip(headers: Sequence[str]) -> bool:
    """Whether these Accept-Encoding headers (RFC 9110, 12.5.3) name gzip with a quality above 0; `*` does not count."""
    for part in ",".join(headers).lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            quality = weight.replace(" ", "").removeprefix("q=")
            return quality.rstrip("0") not in ("", "0.") if weight.strip() else True
    return False
