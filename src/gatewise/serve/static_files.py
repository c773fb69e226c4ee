"""The files of the page, read once at startup, so that no request ever becomes a file path."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from starlette.responses import Response

_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_ACCEPTS_GZIP = re.compile(r"(^|,)\s*gzip\s*(;\s*q\s*=\s*(1|0?\.0*[1-9])[\d.]*\s*)?(,|$)", re.IGNORECASE)


@dataclass(frozen=True)
class StaticFile:
    """One file: its bytes, media type, ETag, and the gzipped bytes.

    Only static files are gzipped. The length of a compressed response can reveal a secret in it (BREACH, Gluck et al.
    2013).
    """

    body: bytes
    type: str
    etag: str
    gzipped: bytes

    def response(self, accepted: str, known: str | None) -> Response:
        """accepted: the request's Accept-Encoding (RFC 9110, 12.5.3; `*` does not count). known: its If-None-Match."""
        packed = _ACCEPTS_GZIP.search(accepted) is not None
        etag = self.etag[:-1] + '-gzip"' if packed else self.etag
        headers = {"etag": etag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if known == etag:
            return Response(status_code=304, headers=headers)
        coding = {"content-encoding": "gzip"} if packed else {}
        return Response(self.gzipped if packed else self.body, headers={**headers, **coding}, media_type=self.type)


def read_static_files() -> dict[str, StaticFile]:
    """The files of gatewise/serve/page of known types by URL path; `/` is index.html and `/docs` docs.html."""
    found: dict[str, StaticFile] = {}
    for entry in (files("gatewise.serve") / "page").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            body = entry.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            found[f"/{entry.name}"] = StaticFile(body, kind, etag, gzip.compress(body, mtime=0))
    found["/"], found["/docs"] = found["/index.html"], found["/docs.html"]
    return found
