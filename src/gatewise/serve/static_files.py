"""The files of the page, read once at startup, so that no request ever becomes a file path."""

import gzip
import hashlib
import re
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response

from gatewise.explain.render.script import script
from gatewise.model import bundled
from gatewise.serve.lstm_file import lesson_files

_TYPES = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "lstm": "application/octet-stream",
}
_FOLDER = Path(__file__).with_name("page")
_ACCEPTS_GZIP = re.compile(r"(^|,)\s*gzip\s*(;\s*q\s*=\s*(1|0?\.0*[1-9])[\d.]*\s*)?(,|$)", re.IGNORECASE)

Static = tuple[Response, Response]
"""A file as it is, and gzipped. Only static files are gzipped: the length of a compressed response can reveal a secret
in it (BREACH, Gluck et al. 2013).
"""


def read_static_files() -> dict[str, Static]:
    """The files of gatewise/serve/page of known types by URL path, and the tutorial's model, which the lesson reads;
    `/` is index.html and `/docs` docs.html.
    """
    entries = [entry for entry in _FOLDER.rglob("*") if entry.is_file()]
    bodies = {f"/{entry.relative_to(_FOLDER).as_posix()}": entry.read_bytes() for entry in entries}
    if not bundled.missing(bundled.TUTORIAL):
        bodies |= {f"/{name}": raw for name, raw in lesson_files().items()}
    # One script in place of the modules, each of which would wait for those that import it.
    bodies["/lesson/main.js"] = script("lesson/main.js").encode()
    found: dict[str, Static] = {}
    for path, body in bodies.items():
        kind = _TYPES.get(path.rpartition(".")[2])
        if kind is not None:
            etag = hashlib.sha256(body).hexdigest()[:16]
            headers = {"cache-control": "no-cache", "vary": "accept-encoding"}
            packed = {**headers, "content-encoding": "gzip", "etag": f'"{etag}-gzip"'}
            plain = Response(body, headers={**headers, "etag": f'"{etag}"'}, media_type=kind)
            found[path] = plain, Response(gzip.compress(body, mtime=0), headers=packed, media_type=kind)
    found["/"], found["/docs"] = found["/index.html"], found["/docs.html"]
    return found


def choose(file: Static, headers: Headers) -> Response:
    """The response to a request with these headers (RFC 9110, 12.5.3; `*` does not count as gzip): a 304 where the
    client has it.
    """
    found = file[_ACCEPTS_GZIP.search(",".join(headers.getlist("accept-encoding"))) is not None]
    if headers.get("if-none-match") != found.headers["etag"]:
        return found
    return Response(status_code=304, headers={name: found.headers[name] for name in ("cache-control", "etag", "vary")})
